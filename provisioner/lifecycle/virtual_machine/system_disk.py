"""The volume of a VirtualMachine's own disk: where it is, and how it becomes a VMDisk when the VM goes and the disk shall stay.

libvirt can rename nothing, so a disk that is kept keeps its name, and a later VM of the same name gets another one for its own.
The name and the pool are noted in the VM's status before the volume is made, and hold from then on.
"""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.lifecycle.verdicts import Stuck
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model import domain_names
from provisioner.model.errors import AlreadyExists
from provisioner.model.metadata import Metadata
from provisioner.model.quantities import format_bytes
from provisioner.model.vm_disk import (
    FINALIZER,
    KEEP_DISK_ANNOTATION,
    DiskOrigin,
    ImageSource,
    VMDisk,
    VMDiskSource,
    VMDiskSpec,
    VMDiskStatus,
)


@dataclass(frozen=True, slots=True)
class Place:
    """A volume and its pool."""

    pool: str
    volume: str


def system_place(view: VirtualMachineView) -> Place:
    """Where the system disk is, or shall be."""
    status, disk = view.resource.status, view.resource.spec.system_disk
    if status.system_volume:
        return Place(status.system_pool, status.system_volume)
    usual = domain_names.system_volume(view.domain_name)
    if status.first_ready or disk is None:
        return Place(view.pool, usual)  # made before places were noted
    pool = view.host.spec.pool_of(disk.storage_class)
    taken = {(kept.status.host, kept.status.pool, kept.status.volume) for kept in view.ports.store.list(VMDisk).items}
    is_taken = (status.host, pool, usual) in taken
    return Place(pool, domain_names.system_volume(view.domain_name, uid=view.resource.metadata.uid) if is_taken else usual)


def keep_or_delete(view: VirtualMachineView) -> Stuck | None:
    """No system disk belongs to the VM any more: it is deleted, or a VMDisk of its own if the VM's annotation names one."""
    place, metadata = system_place(view), view.resource.metadata
    name = metadata.annotations.get(KEEP_DISK_ANNOTATION, "")
    if name and view.resource.is_being_deleted:
        return _kept(view, place, name)
    view.hypervisor.volumes.delete(place.pool, place.volume)
    return None


def _kept(view: VirtualMachineView, place: Place, name: str) -> Stuck | None:
    store, namespace, host = view.ports.store, view.resource.metadata.namespace, view.resource.status.host
    volume = view.hypervisor.volumes.find(place.pool, place.volume)
    if volume is None:
        view.tell("NothingToKeep", f"there is no system disk that could become VMDisk `{name}`", warning=True)
        return None
    disk = _as_disk(view, place, name=name, capacity_bytes=volume.capacity_bytes)
    try:
        store.create(disk)
    except AlreadyExists:
        known = store.get(VMDisk, name, namespace=namespace).status
        if (known.host, known.pool, known.volume) == (host, place.pool, place.volume):
            return None
        return Stuck(("disk",), f"VMDisk `{name}` exists already and is another disk: the VM's own cannot become it")
    view.tell("DiskKept", f"volume `{place.volume}` of pool `{place.pool}` on host `{host}` is VMDisk `{name}` now")
    return None


def _as_disk(view: VirtualMachineView, place: Place, *, name: str, capacity_bytes: int) -> VMDisk:
    vm = view.resource
    assert vm.spec.system_disk is not None
    return VMDisk(
        metadata=Metadata(name=name, namespace=vm.metadata.namespace, finalizers=(FINALIZER,)),
        spec=VMDiskSpec(
            source=VMDiskSource(image=ImageSource(name=vm.spec.system_disk.image)),
            storage=format_bytes(capacity_bytes),
            storage_class=vm.spec.system_disk.storage_class,
        ),
        status=VMDiskStatus(
            phase="Bound",
            host=vm.status.host,
            pool=place.pool,
            volume=place.volume,
            capacity_bytes=capacity_bytes,
            origin=DiskOrigin(source="virtualmachine", name=vm.metadata.name, uid=vm.metadata.uid, taken=view.ports.now()),
        ),
    )
