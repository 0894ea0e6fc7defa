"""One CustomResourceDefinition for a kind of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from provisioner.model import names
from provisioner.model.kinds import KINDS, WORDS, KindWords
from provisioner.model.metadata import APPS, Resource
from provisioner.store.kubernetes.crds import shapes
from provisioner.store.kubernetes.crds.columns import AGE, COLUMNS
from provisioner.store.kubernetes.crds.patches import RULES, Patch, apply, ordered
from provisioner.store.kubernetes.crds.schema import Schema, schema_of
from provisioner.store.kubernetes.crds.tables.gpu_claim import GPU_CLAIM, GPU_HISTORY
from provisioner.store.kubernetes.crds.tables.gpu_host import GPU_HOST
from provisioner.store.kubernetes.crds.tables.gpu_quota import GPU_QUOTA
from provisioner.store.kubernetes.crds.tables.image import IMAGE
from provisioner.store.kubernetes.crds.tables.kubernetes import KUBERNETES
from provisioner.store.kubernetes.crds.tables.node_groups import KUBERNETES_NODES
from provisioner.store.kubernetes.crds.tables.virtual_machine import VIRTUAL_MACHINE, VM_INSTANCE
from provisioner.store.kubernetes.crds.tables.vm_disk import VM_DISK

CATEGORY = "hikube"
"""`kubectl get hikube` shows everything. Not `all`: that asks every tenant for what is of the cluster, and is slow."""
CORE = frozenset({"Secret"})
"""Kinds that every API server has."""
_WORDS_OF_KUBERNETES = frozenset({"nodes", "quota", "quotas"})
"""Short names of ours that are taken there: `kubectl get nodes` means the nodes of the cluster, `quota` a ResourceQuota."""
_MADE_BY_HIKUBE = frozenset({"GPUClaim", "GPUHistory"})
_OF_COZYSTACK = {"appVersion": {"description": "Cozystack's objects have it. Of no meaning here.", "type": "string"}}
_LONGEST_OBJECT_NAME = 253
_TABLES: Mapping[str, Sequence[Mapping[str, Patch]]] = {
    "VirtualMachine": VIRTUAL_MACHINE,
    "VMInstance": VM_INSTANCE,
    "VMDisk": VM_DISK,
    "Kubernetes": KUBERNETES,
    "KubernetesNodes": KUBERNETES_NODES,
    "GPUHost": GPU_HOST,
    "GPUClaim": GPU_CLAIM,
    "GPUHistory": GPU_HISTORY,
    "GPUQuota": GPU_QUOTA,
    "Image": IMAGE,
}


def definitions() -> list[Schema]:
    """Every definition, in the order of the kinds."""
    return [definition(words) for kind, words in WORDS.items() if kind not in CORE]


def definition(words: KindWords) -> Schema:
    """The definition of one kind.

    There is no scale subresource: a KubernetesNodes says how many workers there may be at least and at most, and the scaler
    chooses; no field is the one number that `kubectl scale` would set.
    """
    group, _, version = words.api_version.partition("/")
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{words.plural}.{group}", "labels": {"app.kubernetes.io/part-of": "hikube"}},
        "spec": {
            "group": group,
            "scope": "Namespaced" if words.is_namespaced else "Cluster",
            "names": _names(words),
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [*COLUMNS[words.kind], AGE],
                    "schema": {"openAPIV3Schema": schema(words)},
                }
            ],
        },
    }


def schema(words: KindWords) -> Schema:
    """The schema of the whole object."""
    kind = KINDS[words.kind]
    whole: Schema = {
        "description": " ".join((kind.__doc__ or "").split()),
        "type": "object",
        **({"required": ["spec"]} if kind.model_fields["spec"].is_required() else {}),
        "properties": {
            "apiVersion": {"description": f"Always {words.api_version}.", "type": "string"},
            "kind": {"description": f"Always {words.kind}.", "type": "string"},
            "metadata": _metadata(words),
            "spec": schema_of(_part(kind, "spec"), with_defaults=True),
            "status": schema_of(_part(kind, "status"), with_defaults=False),
        },
    }
    if words.kind not in _MADE_BY_HIKUBE:
        whole["properties"] |= _OF_COZYSTACK if words.api_version == APPS else {}
        whole[RULES] = [shapes.rule(f"self.metadata.name.matches('{shapes.LABEL}')", shapes.NAME_SENTENCE, at="metadata.name")]
    for patches in _TABLES[words.kind]:
        apply(whole, patches)
    return ordered(whole)


def _names(words: KindWords) -> Schema:
    short = [name for name in words.short_names if name not in _WORDS_OF_KUBERNETES]
    return {
        "kind": words.kind,
        "listKind": f"{words.kind}List",
        "plural": words.plural,
        "singular": words.singular,
        "shortNames": short,
        "categories": [CATEGORY],
    }


def _metadata(words: KindWords) -> Schema:
    """Names are bounded, so that those that are made from them still fit."""
    longest = names.LONGEST_VM_NAME if words.kind in {"VirtualMachine", "VMInstance", "VMDisk"} else names.LONGEST_LABEL
    longest = _LONGEST_OBJECT_NAME if words.kind in _MADE_BY_HIKUBE else longest
    return {"type": "object", "properties": {"name": {"type": "string", "maxLength": longest}}}


def _part(kind: type[Resource], name: str) -> type:
    annotation = kind.model_fields[name].annotation
    assert isinstance(annotation, type)
    return annotation
