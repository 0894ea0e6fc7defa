"""Which disks the guest has, in boot order, and what it calls them.

The seed is always the CD-ROM `sda`, so that it can be ejected by that name whatever else is attached; SATA and SCSI disks
follow from `sdb`, virtio disks from `vda`. Boot order is the order of the document: the system disk, or VMDisks as listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from string import ascii_lowercase

from provisioner.model import domain_names
from provisioner.model.errors import NotFound
from provisioner.model.gpu_host import GPUHostSpec
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.model.vm_disk import VMDisk
from provisioner.planning.plans import DomainDisk

SEED_TARGET = "sda"
_LETTERS = len(ascii_lowercase)


def disks_of(vm: VirtualMachine, *, vm_disks: Iterable[VMDisk], host: GPUHostSpec) -> tuple[DomainDisk, ...]:
    """The disks of the domain, the seed last. Volumes are where they were made, or else in the pool of their storage class.

    Raises:
        NotFound: the spec names a VMDisk that was not given.
    """
    domain = domain_names.domain_name(vm.key)
    virtio, others = _targets("vd", first=0), _targets("sd", first=1)
    found = []
    by_name = {disk.metadata.name: disk for disk in vm_disks}
    for order, (pool, volume, bus, is_optical) in enumerate(_volumes(vm, by_name, host), start=1):
        found.append(
            DomainDisk(
                pool=pool,
                volume=volume,
                format="qcow2" if volume.endswith(".qcow2") else "raw",
                target=next(virtio if bus == "virtio" else others),
                bus=bus,
                is_cdrom=is_optical,
                boot_order=order,
            )
        )
    seed = DomainDisk(
        pool=host.storage_pool,
        volume=domain_names.seed_volume(domain),
        format="raw",
        target=SEED_TARGET,
        bus="sata",
        is_cdrom=True,
    )
    return (*found, seed)


def _volumes(vm: VirtualMachine, vm_disks: dict[str, VMDisk], host: GPUHostSpec) -> Iterator[tuple[str, str, str, bool]]:
    """Pool, volume, bus, and whether it is a CD-ROM."""
    if vm.spec.system_disk is not None:
        volume = vm.status.system_volume or domain_names.system_volume(domain_names.domain_name(vm.key))
        yield vm.status.system_pool or host.pool_of(vm.spec.system_disk.storage_class), volume, "virtio", False
    for reference in vm.spec.disks:
        if reference.name not in vm_disks:
            raise NotFound(f"VMDisk {vm.metadata.namespace}/{reference.name} does not exist")
        disk = vm_disks[reference.name]
        volume = disk.status.volume or domain_names.disk_volume(disk.metadata.namespace, disk.metadata.name)
        is_optical = disk.spec.optical
        bus = reference.bus or ("sata" if is_optical else "virtio")
        pool = disk.status.pool or host.pool_of(disk.spec.storage_class)
        # A CD-ROM cannot sit on virtio-blk.
        yield pool, volume, "sata" if is_optical and bus == "virtio" else bus, is_optical


def _targets(prefix: str, *, first: int) -> Iterator[str]:
    """`vda` … `vdz`, `vdaa` …"""
    for number in count(first):
        high, low = divmod(number, _LETTERS)
        yield prefix + (ascii_lowercase[high - 1] if high else "") + ascii_lowercase[low]
