"""KubernetesNodes documents: a worker group as an object of its own, named `<cluster>-<pool>`."""

from __future__ import annotations

from provisioner.model.door import names as read
from provisioner.model.door.header import Header
from provisioner.model.door.node_groups import (
    GROUP_FIELDS,
    duration,
    group_values,
    read_images,
    read_talos,
)
from provisioner.model.door.places import fields_of, is_missing
from provisioner.model.door.versions import kubernetes_version
from provisioner.model.kubernetes import KubernetesNodes, KubernetesNodesSpec
from provisioner.model.tables import Tables

_TIMES = {
    "readyUnknownTimeout": ("ready_unknown_timeout", "5m"),
    "readyFalseTimeout": ("ready_false_timeout", "10m"),
    "maxNodeProvisionTime": ("max_node_provision_time", "30m"),
}
FIELDS = ("cluster", *GROUP_FIELDS, *_TIMES, "version", "talos", "images")


def read_kubernetes_nodes(header: Header, tables: Tables) -> KubernetesNodes:
    """The worker group that a document describes."""
    fields = fields_of(header.spec, FIELDS)
    cluster = read.name(fields.get("cluster"))
    if is_missing(header.spec, fields, "cluster"):
        header.spec.mistake("cluster is missing: which Kubernetes do these workers join?")
    elif cluster and "cluster" in fields and not _pool(header.metadata.name, cluster):
        example = f"{cluster}-{header.metadata.name or 'gpu'}"
        fields["cluster"].mistake(f"metadata.name must be <cluster>-<pool>, so begin with {cluster}-", did_you_mean=example)
    values = group_values(header.spec, fields, tables)
    values |= {attribute: duration(fields.get(name), default) for name, (attribute, default) in _TIMES.items()}
    spec = KubernetesNodesSpec(
        cluster=cluster,
        version=kubernetes_version(fields.get("version"), ""),
        talos=read_talos(fields.get("talos")),
        images=read_images(fields.get("images")),
        **values,
    )
    return KubernetesNodes(metadata=header.metadata, spec=spec)


def _pool(name: str, cluster: str) -> str:
    return name.removeprefix(f"{cluster}-") if name.startswith(f"{cluster}-") or not name else ""
