"""What an installed KubeVirt leaves in a cluster: its kinds and its own object.

The kinds are KubeVirt's own files; the kind KubeVirt itself, which is not among them, is made here with any fields.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from tests.kubernetes.kubevirt.api import Api
from tests.kubernetes.kubevirt.fields import Document, items
from tests.kubernetes.kubevirt.resources import (
    DEFINITIONS,
    INSTALLED_IN,
    KUBEVIRTS,
    NAMESPACES,
    ROLE_BINDINGS,
    ROLES,
)

FILES = Path(__file__).parents[4] / "shared" / "kubevirt"
"""Beside the repository."""

EVERYBODY = "kubevirt.io:default"
_OWN_KIND = "kubevirts.kubevirt.io"
_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definition_files() -> list[Path]:
    """Empty where they do not lie beside the repository."""
    return sorted(FILES.glob("*.kubevirt.io.yaml"))


@cache
def _loaded(path: Path) -> Document:
    return dict(yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def machine_schema() -> Document:
    """The schema of VirtualMachine `kubevirt.io/v1`."""
    definition = _loaded(FILES / "virtualmachines.kubevirt.io.yaml")
    version = next(each for each in definition["spec"]["versions"] if each["name"] == "v1")
    return dict(version["schema"]["openAPIV3Schema"])


def put_definitions(api: Api) -> None:
    """Idempotent. The kinds may take a moment until they are served."""
    for path in definition_files():
        definition = {key: value for key, value in _loaded(path).items() if key != "status"}
        api.ensure(DEFINITIONS, definition)
    api.ensure(DEFINITIONS, _own_definition())


def are_served(api: Api) -> bool:
    """Whether every kind is established."""
    names = [_loaded(path)["metadata"]["name"] for path in definition_files()]
    return all(_is_established(api.get(DEFINITIONS.path("", name))) for name in [*names, _OWN_KIND])


def put_kubevirt(api: Api) -> None:
    """Its namespace, its object, which permits nothing, and everybody's right to read it. The gate is the one observed on."""
    _let_everybody_read(api)
    api.ensure(NAMESPACES, {"metadata": {"name": INSTALLED_IN}})
    configuration = {
        "developerConfiguration": {"featureGates": ["HostDevices"]},
        "permittedHostDevices": {"pciHostDevices": []},
    }
    body = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "KubeVirt",
        "metadata": {"name": INSTALLED_IN, "namespace": INSTALLED_IN},
        "spec": {"configuration": configuration},
    }
    api.delete(KUBEVIRTS.path(INSTALLED_IN, INSTALLED_IN))
    api.create(KUBEVIRTS, body)


def _let_everybody_read(api: Api) -> None:
    rules = [{"apiGroups": ["kubevirt.io"], "resources": ["kubevirts"], "verbs": ["get", "list"]}]
    api.ensure(ROLES, {"metadata": {"name": EVERYBODY}, "rules": rules})
    group = "rbac.authorization.k8s.io"
    who = {"apiGroup": group, "kind": "Group", "name": "system:authenticated"}
    what = {"apiGroup": group, "kind": ROLES.kind, "name": EVERYBODY}
    api.ensure(ROLE_BINDINGS, {"metadata": {"name": EVERYBODY}, "roleRef": what, "subjects": [who]})


def _is_established(definition: Document | None) -> bool:
    conditions = items(definition, "status", "conditions")
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def _own_definition() -> Document:
    schema = {"type": "object", "properties": {"spec": _ANYTHING, "status": _ANYTHING}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    names = {"kind": "KubeVirt", "plural": "kubevirts", "singular": "kubevirt", "shortNames": ["kv", "kvs"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": _OWN_KIND},
        "spec": {"group": "kubevirt.io", "scope": "Namespaced", "names": names, "versions": [version]},
    }
