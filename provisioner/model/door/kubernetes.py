"""Kubernetes documents of every generation, into one KubernetesSpec.

Accepted and normalised: `kamajiControlPlane` for `controlPlane`, `plugins.gpu-operator` for `addons.gpuOperator`, versions with
a patch level, groups with `ephemeralStorage`, no groups at all.
"""

from __future__ import annotations

from typing import Any

from provisioner.model import names
from provisioner.model.door import names as read
from provisioner.model.door import scalars
from provisioner.model.door.addons import read_addons
from provisioner.model.door.control_plane import read_control_plane
from provisioner.model.door.free import plain
from provisioner.model.door.header import Header
from provisioner.model.door.node_groups import GROUP_FIELDS, duration, group_values, read_images, read_talos, share
from provisioner.model.door.nodes import shown
from provisioner.model.door.places import Place, fields_of, items_of, members_of
from provisioner.model.door.versions import kubernetes_version
from provisioner.model.kubernetes import (
    DEFAULT_GROUP,
    Kubernetes,
    KubernetesSpec,
    NodeGroup,
    NodeHealthCheck,
    Oidc,
    OidcUser,
)
from provisioner.model.tables import Tables

FIELDS = (
    "version", "host", "storageClass", "controlPlane", "kamajiControlPlane", "nodeGroups", "addons", "plugins",
    "nodeHealthCheck", "maxNodeProvisionTime", "talos", "images", "oidc",
)  # fmt: skip
MOST_GROUPS = 100


def read_kubernetes(header: Header, tables: Tables) -> Kubernetes:
    """The cluster that a document describes."""
    fields = fields_of(header.spec, FIELDS)
    groups = _groups(fields.get("nodeGroups"), header.metadata.name, tables)
    addons = read_addons(fields.get("addons"), fields.get("plugins"))
    for name, group in groups.items():
        if group.gpus and not addons.gpu_operator.enabled:
            (fields.get("nodeGroups") or header.spec).warn(
                f"the group {name} has GPUs and addons.gpuOperator is off: pods will not see nvidia.com/gpu"
            )
    spec = KubernetesSpec(
        storage_class=read.name(fields.get("storageClass"), "replicated"),
        host=scalars.text(fields.get("host"), longest=253),
        version=kubernetes_version(fields.get("version")),
        node_groups=groups,
        addons=addons,
        control_plane=read_control_plane(fields.get("controlPlane"), fields.get("kamajiControlPlane")),
        node_health_check=_health_check(fields.get("nodeHealthCheck")),
        max_node_provision_time=duration(fields.get("maxNodeProvisionTime"), "30m"),
        talos=read_talos(fields.get("talos")),
        images=read_images(fields.get("images")),
        oidc=_oidc(fields.get("oidc")),
    )
    return Kubernetes(metadata=header.metadata, spec=spec)


def _groups(place: Place | None, cluster: str, tables: Tables) -> dict[str, NodeGroup]:
    groups: dict[str, NodeGroup] = {}
    for name, member in members_of(place):
        _check_name(member, name, cluster)
        values = group_values(member, fields_of(member, GROUP_FIELDS), tables)
        groups[name] = NodeGroup(**values)
        if "gpu" in name and not values["gpus"]:
            member.warn(f"the group {shown(name)} has no gpus, so its workers have none")
    if place is not None and len(groups) > MOST_GROUPS:
        place.mistake(f"at most {MOST_GROUPS} node groups, not {len(groups)}")
    return groups or {DEFAULT_GROUP: NodeGroup(roles=("ingress-nginx",))}


def _check_name(member: Place, name: str, cluster: str) -> None:
    problem = names.problem_with_name(name)
    room = names.LONGEST_WORKER_STEM - len(cluster)
    if not problem and len(name) > room:
        problem = f"the names of cluster and group have at most {names.LONGEST_WORKER_STEM} characters together"
    if problem:
        member.mistake(f"group {shown(name)}: {problem}", did_you_mean=names.suggested_name(name, longest=max(room, 3)))


def _health_check(place: Place | None) -> NodeHealthCheck:
    fields = fields_of(place, ("maxUnhealthy", "nodeStartupTimeout", "readyUnknownTimeout", "readyFalseTimeout"))
    return NodeHealthCheck(
        max_unhealthy=share(fields.get("maxUnhealthy"), "50%"),
        node_startup_timeout=duration(fields.get("nodeStartupTimeout"), "20m"),
        ready_unknown_timeout=duration(fields.get("readyUnknownTimeout"), "5m"),
        ready_false_timeout=duration(fields.get("readyFalseTimeout"), "10m"),
    )


def _oidc(place: Place | None) -> Oidc:
    fields = fields_of(place, ("mode", "customConfig", "users"))
    values: dict[str, Any] = {"mode": scalars.one_of(fields.get("mode"), ("None", "System", "CustomConfig"), default="None")}
    if "customConfig" in fields:
        values["custom_config"] = plain(fields["customConfig"].node)
    values["users"] = tuple(_user(item) for item in items_of(fields.get("users"), of_what="users ({email, role})"))
    return Oidc.model_validate(values)


def _user(item: Place) -> OidcUser:
    fields = fields_of(item, ("email", "role"))
    email = scalars.text(fields.get("email"), longest=320)
    if "@" not in email:
        item.mistake("a user needs an email address")
    return OidcUser.model_validate(
        {"email": email, "role": scalars.one_of(fields.get("role"), ("admin", "view"), default="view")}
    )
