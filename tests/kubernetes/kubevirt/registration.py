"""How the API server learns of virt-api: which reviews go where, and the aggregated API.

Webhooks are called by address. The aggregated API needs a Service, which names the machine itself.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from tests.kubernetes.kubevirt.api import Api
from tests.kubernetes.kubevirt.fields import Document
from tests.kubernetes.kubevirt.https_server import ADDRESS
from tests.kubernetes.kubevirt.resources import (
    API_SERVICES,
    INSTALLED_IN,
    INSTANCES,
    MACHINES,
    MUTATING,
    PODS,
    SERVICES,
    VALIDATING,
    Resource,
)

NAME = "virt-api"
GROUP = "subresources.kubevirt.io"
API_SERVICE = f"v1.{GROUP}"
ANSWER_LIMIT_S = 10


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook: its name, its path, and what it is asked about."""

    name: str
    path: str
    operations: tuple[str, ...]
    resource: Resource
    subresource: str = ""


MUTATORS = (
    Hook("virtualmachines-mutator", "/virtualmachines-mutate", ("CREATE", "UPDATE"), MACHINES),
    Hook("virtualmachineinstances-mutator", "/virtualmachineinstances-mutate", ("CREATE",), INSTANCES),
)
_VMI_CREATE, _VMI_UPDATE = "/virtualmachineinstances-validate-create", "/virtualmachineinstances-validate-update"
VALIDATORS = (
    Hook("virtualmachine-validator", "/virtualmachines-validate", ("CREATE", "UPDATE"), MACHINES),
    Hook("virtualmachineinstances-create-validator", _VMI_CREATE, ("CREATE",), INSTANCES),
    Hook("virtualmachineinstances-update-validator", _VMI_UPDATE, ("UPDATE",), INSTANCES),
    Hook("virt-launcher-eviction-interceptor", "/launcher-eviction", ("CREATE",), PODS, "eviction"),
)


def put_webhooks(api: Api, *, port: int, authority: str) -> None:
    """Registered anew; what an earlier stand-in has left is gone. Args: authority: PEM, of who signed the server's key."""
    remove_webhooks(api)
    for resource, hooks in ((MUTATING, MUTATORS), (VALIDATING, VALIDATORS)):
        body = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": resource.kind,
            "metadata": {"name": NAME},
            "webhooks": [_webhook(each, port=port, authority=authority) for each in hooks],
        }
        api.create(resource, body)


def remove_webhooks(api: Api) -> None:
    for resource in (MUTATING, VALIDATING):
        api.delete(resource.path("", NAME))


def put_aggregated_api(api: Api, *, port: int) -> None:
    """It takes the API server a second or two until it believes in it."""
    remove_aggregated_api(api)
    service = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
    api.create(SERVICES, {"metadata": {"name": NAME, "namespace": INSTALLED_IN}, "spec": service})
    spec = {
        "group": GROUP,
        "version": "v1",
        "groupPriorityMinimum": 1000,
        "versionPriority": 15,
        "insecureSkipTLSVerify": True,
        "service": {"name": NAME, "namespace": INSTALLED_IN, "port": port},
    }
    body = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": API_SERVICE}, "spec": spec}
    api.create(API_SERVICES, body)


def remove_aggregated_api(api: Api) -> None:
    api.delete(API_SERVICES.path("", API_SERVICE))
    api.delete(SERVICES.path(INSTALLED_IN, NAME))


def _webhook(hook: Hook, *, port: int, authority: str) -> Document:
    plural = f"{hook.resource.plural}/{hook.subresource}" if hook.subresource else hook.resource.plural
    group = hook.resource.base.split("/")[2] if hook.resource.base.startswith("/apis/") else ""
    return {
        "name": f"{hook.name}.kubevirt.io",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "NoneOnDryRun",
        "timeoutSeconds": ANSWER_LIMIT_S,
        "failurePolicy": "Ignore" if hook.subresource else "Fail",
        "clientConfig": {"url": f"https://{ADDRESS}:{port}{hook.path}", "caBundle": b64encode(authority.encode()).decode()},
        "rules": [{"apiGroups": [group], "apiVersions": ["v1"], "operations": list(hook.operations), "resources": [plural]}],
    }
