"""What of a changed spec needs a restart: GPUs, memory and disks of a running guest stay as they are until then.

Nothing is hot-plugged: a GPU cannot be, and half a change is harder to understand than none. What differs is said item by
item.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from provisioner.model.quantities import bytes_of, format_bytes
from provisioner.model.sizing import GuestSize
from provisioner.model.virtual_machine import RunningSpec, VirtualMachine
from provisioner.model.vm_disk import VMDisk
from provisioner.planning.refusals import memory_in_words

SYSTEM_DISK = "system"


def running_spec_of(vm: VirtualMachine, *, size: GuestSize, vm_disks: Iterable[VMDisk] = ()) -> RunningSpec:
    """What a domain that is defined now is made from. VMDisks that are not given are known by name alone, without size."""
    sizes = {disk.metadata.name: disk.spec.storage for disk in vm_disks}
    disks = [(SYSTEM_DISK, vm.spec.system_disk.storage)] if vm.spec.system_disk is not None else []
    disks += [(reference.name, sizes.get(reference.name, "")) for reference in vm.spec.disks]
    return RunningSpec(
        vcpus=size.vcpus,
        memory_mib=size.memory_mib,
        gpus=tuple(gpu.name for gpu in vm.spec.gpus),
        disks=tuple(f"{name}={bytes_of(storage)}" if storage else name for name, storage in disks),
        networks=tuple(network.name for network in vm.spec.networks),
        firmware=vm.spec.firmware,
    )


def restart_required(
    running: RunningSpec, vm: VirtualMachine, *, size: GuestSize, vm_disks: Iterable[VMDisk] = ()
) -> tuple[str, ...]:
    """Why the VM must restart to be what its spec says (`gpus: 1 -> 2`); empty if it is already.

    Give `vm_disks` if they were given when `running` was made: sizes are compared where both sides know them.
    """
    return tuple(_differences(running, running_spec_of(vm, size=size, vm_disks=vm_disks)))


def _differences(running: RunningSpec, wanted: RunningSpec) -> Iterator[str]:
    if running.vcpus != wanted.vcpus:
        yield f"vcpus: {running.vcpus} -> {wanted.vcpus}"
    if running.memory_mib != wanted.memory_mib:
        yield f"memory: {memory_in_words(running.memory_mib)} -> {memory_in_words(wanted.memory_mib)}"
    if Counter(running.gpus) != Counter(wanted.gpus):
        yield _gpu_difference(running.gpus, wanted.gpus)
    if running.disks != wanted.disks:
        yield from _disk_differences(_sizes(running.disks), _sizes(wanted.disks))
    if running.networks != wanted.networks:
        yield f"networks: {_listed(running.networks)} -> {_listed(wanted.networks)}"
    if running.firmware != wanted.firmware:
        yield f"firmware: {running.firmware or 'of its image'} -> {wanted.firmware or 'of its image'}"


def _gpu_difference(running: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    """Counts while the model is the same, models otherwise."""
    if len({*running, *wanted}) == 1:
        return f"gpus: {len(running)} -> {len(wanted)}"
    return f"gpus: {_listed(sorted(running))} -> {_listed(sorted(wanted))}"


def _disk_differences(running: dict[str, str], wanted: dict[str, str]) -> Iterator[str]:
    for name in sorted(wanted.keys() - running.keys()):
        yield f"disk {name}: to be attached"
    for name in sorted(running.keys() - wanted.keys()):
        yield f"disk {name}: to be detached"
    kept = [name for name in wanted if name in running]
    for name in kept:
        if running[name] != wanted[name] and running[name] and wanted[name]:
            yield f"disk {name}: {format_bytes(int(running[name]))} -> {format_bytes(int(wanted[name]))}"
    if kept != [name for name in running if name in wanted]:
        yield f"boot order: {_listed(running)} -> {_listed(wanted)}"


def _sizes(disks: Iterable[str]) -> dict[str, str]:
    return {name: size for name, _, size in (disk.partition("=") for disk in disks)}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
