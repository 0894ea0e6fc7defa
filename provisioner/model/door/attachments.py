"""Readers of what is attached to a VM: VMDisks by name, networks by name."""

from __future__ import annotations

from provisioner.model.door import names as read
from provisioner.model.door import scalars
from provisioner.model.door.nodes import ScalarNode
from provisioner.model.door.places import Place, fields_of, is_missing, items_of, refuse_repeated
from provisioner.model.names import LONGEST_VM_NAME
from provisioner.model.virtual_machine import DiskReference, NetworkReference

SECOND_SIZED_DISK = "a disk with a size of its own is a VMDisk; make one, and give only its name here"
_BUSES = ("", "virtio", "sata", "scsi")
_SIZED = ("size", "storage", "storageClass")


def read_disks(place: Place | None) -> tuple[tuple[DiskReference, ...], Place | None]:
    """References to VMDisks, and the system disk where it stands among them with a size, as the first documents had it."""
    references: list[DiskReference] = []
    named: list[tuple[str, Place]] = []
    sized: Place | None = None
    for item in items_of(place, of_what="VMDisk names", most=64):
        fields = {"name": item} if isinstance(item.node, ScalarNode) else fields_of(item, ("name", "bus", *_SIZED))
        if any(name in fields for name in _SIZED):
            if sized is None:
                item.warn("a disk with a size among the disks is the older way to write systemDisk")
                sized = item
            else:
                item.mistake(SECOND_SIZED_DISK)
            continue
        if is_missing(item, fields, "name") and not isinstance(item.node, ScalarNode):
            item.mistake("a disk has no name; give the name of a VMDisk")
        bus = scalars.one_of(fields.get("bus"), _BUSES, default="")
        name = read.name(fields.get("name"), longest=LONGEST_VM_NAME)
        references.append(DiskReference.model_validate({"name": name, "bus": bus}))
        named.append((name, item))
    refuse_repeated(named, what="VMDisk")
    return tuple(references), sized


def read_networks(networks: Place | None, subnets: Place | None) -> tuple[NetworkReference, ...]:
    """Networks by name; `subnets` is their older name."""
    if subnets is not None and networks is not None:
        subnets.mistake("subnets is the older name of networks; list all of them under networks")
    elif subnets is not None:
        subnets.warn("subnets is the older name; write networks")
    named: list[tuple[str, Place]] = []
    for item in items_of(networks or subnets, of_what="networks ({name: NETWORK})", most=16):
        fields = {"name": item} if isinstance(item.node, ScalarNode) else fields_of(item, ("name",))
        if is_missing(item, fields, "name"):
            item.mistake("a network has no name")
        named.append((read.word(fields.get("name")), item))
    refuse_repeated(named, what="network")
    return tuple(NetworkReference(name=name) for name, _ in named)
