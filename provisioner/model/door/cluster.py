"""Readers of what a GPUHost says about a KubeVirt cluster, and of what has no meaning on one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from provisioner.model.catalogue import GpuCatalogue
from provisioner.model.cluster import NODE_LOST_AFTER_S, SCHEME, ClusterSettings
from provisioner.model.door import names as read
from provisioner.model.door import scalars
from provisioner.model.door.gpus import canonical_name
from provisioner.model.door.nodes import shown
from provisioner.model.door.places import Place, fields_of, members_of
from provisioner.model.gpu_host import GPUHostSpec
from provisioner.model.names import problem_with_label_key

FIELDS = ("namespace", "gpuResources", "claimTemplates", "containerDisks", "nodeLostAfterS")
OF_ONE_MACHINE = {
    "allowEmulation": "allow_emulation",
    "storagePool": "storage_pool",
    "network": "network",
    "reservedMemoryMib": "reserved_memory_mib",
    "keepOnVfio": "keep_on_vfio",
    "scrubCommand": "scrub_command",
    "retired": "retired",
    "externalAddresses": "external_addresses",
    "externalInterface": "external_interface",
    "networks": "networks",
}
"""Fields of a GPUHost, with their names in the model, that say something about one machine's hardware or its libvirt."""
_OBJECT_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_CONTAINER_IMAGE = re.compile(r"[a-zA-Z0-9][\x21-\x7e]{0,1023}", re.ASCII)
_MOST = 100


def read_cluster(spec: Mapping[str, Place], *, uri: str, catalogue: GpuCatalogue) -> ClusterSettings | None:
    """What stands below `kubevirt`; None where nothing does."""
    place = spec.get("kubevirt")
    if not uri.startswith(SCHEME):
        if place is not None and uri:
            place.mistake(f"only a host whose uri begins with {SCHEME} is a KubeVirt cluster")
        return None
    if place is None:
        return None
    fields = fields_of(place, FIELDS)
    return ClusterSettings(
        namespace=read.name(fields.get("namespace"), may_be_empty=True),
        gpu_resources=_by_model(fields.get("gpuResources"), catalogue, _resource),
        claim_templates=_by_model(fields.get("claimTemplates"), catalogue, _object_name),
        container_disks={key: _container_image(member) for key, member in _members(fields.get("containerDisks"))},
        node_lost_after_s=scalars.integer(fields.get("nodeLostAfterS"), NODE_LOST_AFTER_S, most=86_400),
    )


def refuse_of_one_machine(fields: Mapping[str, Place], spec: GPUHostSpec) -> None:
    """Note what was said of a cluster and has no meaning there. A default that is written out says nothing."""
    default = GPUHostSpec(uri=spec.uri)
    for written, name in OF_ONE_MACHINE.items() if spec.is_cluster else ():
        if written in fields and getattr(spec, name) != getattr(default, name):
            fields[written].mistake("this is about one machine and its libvirt; a KubeVirt cluster has no use for it")


def _by_model(place: Place | None, catalogue: GpuCatalogue, value_of: Callable[[Place], str]) -> dict[str, str]:
    """By the canonical name of the model, whichever of its names was written."""
    found: dict[str, str] = {}
    for key, member in _members(place):
        name = canonical_name(key, member, catalogue)
        if name in found:
            member.mistake(f"{shown(key)} is {name}, which is there already")
        found[name or key] = value_of(member)
    return found


def _members(place: Place | None) -> list[tuple[str, Place]]:
    members = list(members_of(place))
    if place is not None and len(members) > _MOST:
        place.mistake(f"at most {_MOST} entries, not {len(members)}")
    return members


def _resource(place: Place) -> str:
    value = scalars.text(place).strip()
    problem = problem_with_label_key(value) or ("" if "/" in value else "it is written as DOMAIN/NAME")
    if problem:
        place.mistake(f"{shown(value)} is no resource name such as nvidia.com/AD102GL_L40S: {problem}")
    return value


def _object_name(place: Place) -> str:
    value = scalars.text(place).strip()
    if not _OBJECT_NAME.fullmatch(value):
        place.mistake(f"{shown(value)} is no name of a ResourceClaimTemplate: lower-case letters, digits, '-' and '.' only")
    return value


def _container_image(place: Place) -> str:
    value = scalars.text(place).strip().removeprefix("docker://")
    if not _CONTAINER_IMAGE.fullmatch(value):
        place.mistake(f"{shown(value)} is no container image such as quay.io/containerdisks/ubuntu:24.04")
    return value
