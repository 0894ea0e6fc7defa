"""Readers of worker groups, wherever a document has them: below a Kubernetes, or as a KubernetesNodes of their own."""

from __future__ import annotations

import re
from typing import Any

from provisioner.model import quantities
from provisioner.model.door import names as read
from provisioner.model.door import scalars
from provisioner.model.door.free import free_mapping
from provisioner.model.door.gpus import LEAST_MEMORY_MIB, read_gpus
from provisioner.model.door.nodes import MapNode, ScalarNode, shown
from provisioner.model.door.places import Place, fields_of, items_of, members_of
from provisioner.model.door.sizes import memory
from provisioner.model.kubernetes import Kubelet, NodeResources, Talos
from provisioner.model.tables import Tables

GROUP_FIELDS = (
    "minReplicas", "maxReplicas", "instanceType", "diskSize", "ephemeralStorage", "storageClass", "roles", "resources",
    "podCpuLimit", "podCpuRequest", "gpus", "kubelet", "logSerialConsole", "maxUnhealthy", "nodeStartupTimeout",
)  # fmt: skip
MOST_WORKERS = 10_000
_DURATION = re.compile(r"([0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h))+", re.ASCII)
_SHARE = re.compile(r"[0-9]{1,6}|(100|[0-9]{1,2})%", re.ASCII)
_KUBELET_CPU = ("systemReservedCpu", "kubeReservedCpu")
_KUBELET_MEMORY = ("systemReservedMemory", "kubeReservedMemory", "evictionHardMemory", "evictionSoftMemory")


def group_values(place: Place, fields: dict[str, Place], tables: Tables) -> dict[str, Any]:
    """The fields of a NodeGroup that were given, by their names in Python; `place` is the group."""
    values: dict[str, Any] = {
        "min_replicas": scalars.integer(fields.get("minReplicas"), 0, most=MOST_WORKERS),
        "max_replicas": scalars.integer(fields.get("maxReplicas"), 10, most=MOST_WORKERS),
        "instance_type": read.known_word(
            fields.get("instanceType"), tables.instance_types, what="the instance type", default="u1.medium"
        ),
        "disk_size": _disk_size(fields),
        "roles": tuple(read.name(item) for item in items_of(fields.get("roles"), of_what="role names", most=50)),
        "resources": _resources(fields.get("resources")),
        "pod_cpu_limit": quantity(fields.get("podCpuLimit")),
        "pod_cpu_request": quantity(fields.get("podCpuRequest")),
        "gpus": read_gpus(fields.get("gpus"), tables.gpus),
        "kubelet": _kubelet(fields.get("kubelet")),
        "log_serial_console": scalars.boolean(fields.get("logSerialConsole")),
    }
    if "storageClass" in fields:
        values["storage_class"] = read.name(fields["storageClass"], may_be_empty=True)
    if "maxUnhealthy" in fields:
        values["max_unhealthy"] = share(fields["maxUnhealthy"])
    if "nodeStartupTimeout" in fields:
        values["node_startup_timeout"] = duration(fields["nodeStartupTimeout"])
    _check_group(place, fields, values, tables)
    return values


def duration(place: Place | None, default: str = "") -> str:
    """A duration as Go writes it: `20m`, `1h30m`."""
    value = scalars.text(place, default)
    if place is not None and value and not _DURATION.fullmatch(value):
        guess = f"{value}m" if value.isdigit() else None
        place.mistake(f"{shown(value)} is no duration such as 20m, 90s or 1h30m", did_you_mean=guess)
        return default
    return value


def share(place: Place | None, default: str = "") -> str:
    """A number or a percentage: `2`, `50%`."""
    value = scalars.text(place, default)
    if place is not None and value and not _SHARE.fullmatch(value):
        place.mistake(f"{shown(value)} is neither a number nor a percentage such as 50%")
        return default
    return value


def quantity(place: Place | None, *, with_percent: bool = False) -> str:
    """A quantity of anything, as written; empty is no value."""
    value = scalars.text(place)
    if place is None or not value or (with_percent and value.endswith("%") and _SHARE.fullmatch(value)):
        return value
    try:
        quantities.amount_of(value)
    except ValueError as error:
        place.mistake(str(error).replace("'", '"'))
        return ""
    return value


def read_talos(place: Place | None) -> Talos:
    """Which Talos the workers run."""
    fields = fields_of(place, ("version", "schematicID", "imageFactoryURL", "installerRepository", "registryMirrors"))
    return Talos(
        version=read.word(fields.get("version")),
        schematic_id=scalars.text(fields.get("schematicID"), longest=128),
        image_factory_url=read.url(fields.get("imageFactoryURL")),
        installer_repository=scalars.text(fields.get("installerRepository"), longest=512),
        registry_mirrors=free_mapping(fields.get("registryMirrors")),
    )


def read_images(place: Place | None) -> dict[str, str]:
    """Container images by the name of their helper."""
    return {key: scalars.verbatim(member, longest=512) for key, member in members_of(place)}


def _disk_size(fields: dict[str, Place]) -> str:
    """`diskSize`, or `ephemeralStorage` as text or as `{size}`."""
    newer, older = fields.get("diskSize"), fields.get("ephemeralStorage")
    if older is not None and isinstance(older.node, MapNode):
        older.warn("ephemeralStorage: {size} is the oldest way to say it; write diskSize")
        older = fields_of(older, ("size",)).get("size")
    if newer and older and scalars.verbatim(newer) != scalars.verbatim(older):
        older.mistake("ephemeralStorage and diskSize say the same with different values; leave ephemeralStorage out")
    return scalars.size(newer or older, "20Gi", least="1Gi", most="64Ti")


def _resources(place: Place | None) -> NodeResources:
    fields = fields_of(place, ("cpu", "memory"))
    found = NodeResources(cpu=scalars.whole_quantity(fields.get("cpu")), memory=memory(fields.get("memory")))
    given = [name for name, field in fields.items() if not (isinstance(field.node, ScalarNode) and field.node.text == "")]
    if place is not None and len(given) == 1:
        place.mistake(f"cpu and memory are given together or not at all; only {given[0]} is here")
    return found


def _kubelet(place: Place | None) -> Kubelet:
    fields = fields_of(place, (*_KUBELET_CPU, *_KUBELET_MEMORY))
    values = {name: quantity(field, with_percent=name in _KUBELET_MEMORY) for name, field in fields.items()}
    return Kubelet.model_validate(values)


def _check_group(place: Place, fields: dict[str, Place], values: dict[str, Any], tables: Tables) -> None:
    if values["min_replicas"] > values["max_replicas"]:
        where = fields.get("minReplicas") or fields.get("maxReplicas") or place
        where.mistake(f"minReplicas {values['min_replicas']} is more than maxReplicas {values['max_replicas']}")
    known = tables.instance_types.get(values["instance_type"])
    explicit = values["resources"].memory
    memory_mib = quantities.mib_of(explicit) if explicit else known.memory_mib if known else None
    models = [tables.gpus.resolve(request.name) for request in values["gpus"]]
    if memory_mib is not None and memory_mib < LEAST_MEMORY_MIB and any(model and model.is_nvidia for model in models):
        where = fields.get("resources") or fields.get("instanceType") or place
        where.mistake(f"NVIDIA's driver needs at least 4 GiB of memory in a worker, these have {memory_mib} MiB")
