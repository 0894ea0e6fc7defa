"""All subjects together: the domain of a VM on its host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from provisioner.model import domain_names
from provisioner.model.gpu_host import GPUHost
from provisioner.model.sizing import GuestSize
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.model.vm_disk import VMDisk
from provisioner.planning.disk_layout import disks_of
from provisioner.planning.hardware.choices import Choice, HardwarePlan
from provisioner.planning.hardware.execution import Execution, execution_of
from provisioner.planning.hardware.firmware import FirmwarePlan, firmware_of
from provisioner.planning.hardware.layout import Layout, layout_of
from provisioner.planning.hardware.memory import MemoryPlan, memory_of
from provisioner.planning.hardware.numa import NumaLayout, numa_of, sockets_of
from provisioner.planning.hardware.window import bars_of_assigned, need_of
from provisioner.planning.networks import interfaces_of
from provisioner.planning.plans import DomainDisk, DomainInterface, DomainPlan
from provisioner.planning.refusals import counted

_SERIAL_AND_RANDOM = 2
"""virtio devices that every guest has beside disks and interfaces: the agent's channel and the random number generator."""


def plan_domain(
    vm: VirtualMachine,
    *,
    size: GuestSize,
    host: GPUHost,
    tables: Tables,
    vm_disks: Iterable[VMDisk] = (),
    firmware: str = "bios",
) -> HardwarePlan:
    """The domain of this VM on this host with the GPUs that its status says it owns. `firmware` may be `any`.

    Raises:
        NotFound: the spec names a VMDisk that was not given.
        Unsupported: too many functions travel with a GPU, BARs do not fit, or the host lacks the firmware.
    """
    gpus = vm.status.gpus
    disks = disks_of(vm, vm_disks=vm_disks, host=host.spec)
    interfaces = interfaces_of(vm, host)
    numa = numa_of(vm, size=size, host=host)
    need = need_of(bars_of_assigned(gpus, host, tables.gpus))
    parts = _Parts(
        way=execution_of(vm, host),
        numa=numa,
        memory=memory_of(size.memory_mib, cells=numa.cells, host=host, has_gpus=bool(gpus)),
        boot=firmware_of(firmware, need=need, host=host, memory_mib=size.memory_mib, is_asked=bool(vm.spec.firmware)),
        layout=layout_of(gpus, virtio_devices=_virtio(disks, interfaces), cells=_cells(vm, host, numa)),
        disks=disks,
        interfaces=interfaces,
    )
    plan = _plan(vm, size, host=host, parts=parts)
    choices = (
        *parts.way.choices,
        *_topology(size, sockets=plan.sockets),
        *numa.choices,
        *parts.memory.choices,
        *parts.boot.choices,
        *_places(parts.layout),
    )
    return HardwarePlan(plan, choices)


@dataclass(frozen=True, slots=True)
class _Parts:
    """Every subject, decided."""

    way: Execution
    numa: NumaLayout
    memory: MemoryPlan
    boot: FirmwarePlan
    layout: Layout
    disks: tuple[DomainDisk, ...]
    interfaces: tuple[DomainInterface, ...]


def _plan(vm: VirtualMachine, size: GuestSize, *, host: GPUHost, parts: _Parts) -> DomainPlan:
    sockets, cores = sockets_of(size, parts.numa.cells)
    return DomainPlan(
        name=domain_names.domain_name(vm.key),
        uuid=domain_names.domain_uuid(vm.key, cloud_init_seed=vm.spec.cloud_init_seed),
        owner_uid=vm.metadata.uid,
        owner=f"{vm.metadata.namespace}/{vm.metadata.name}",
        smbios_serial=vm.metadata.uid,
        domain_type=parts.way.domain_type,
        cpu_mode=parts.way.cpu_mode,
        cpu_model=vm.spec.cpu_model,
        machine=host.status.capabilities.machine,
        firmware=parts.boot.firmware,
        memory_mib=size.memory_mib,
        sockets=sockets,
        cores_per_socket=cores,
        root_ports=parts.layout.root_ports,
        functions=parts.layout.functions,
        disks=parts.disks,
        interfaces=parts.interfaces,
        on_reboot=parts.way.on_reboot,
        expanders=parts.layout.expanders,
        cells=parts.numa.cells,
        memory_mode=parts.memory.mode,
        hugepage_kib=parts.memory.hugepage_kib,
        is_pinned=bool(vm.status.gpus),
        pins=parts.numa.pins,
        emulator_cpuset=parts.numa.emulator_cpuset,
        pci_hole64_kib=parts.boot.pci_hole64_kib,
        firmware_window_mib=parts.boot.window_mib,
        address_width=parts.boot.address_width,
        pv_spinlocks=parts.way.pv_spinlocks,
    )


def _cells(vm: VirtualMachine, host: GPUHost, numa: NumaLayout) -> dict[str, int]:
    node_of = {gpu.address: gpu.numa_node for gpu in host.status.gpus}
    found = {gpu.address: numa.cell_of(node_of.get(gpu.address)) for gpu in vm.status.gpus}
    return {address: cell for address, cell in found.items() if cell is not None}


def _virtio(disks: Sequence[DomainDisk], interfaces: Sequence[DomainInterface]) -> int:
    """How many devices want a root port beside the GPUs."""
    scsi_controllers = int(any(disk.bus == "scsi" for disk in disks))
    return sum(disk.bus == "virtio" for disk in disks) + scsi_controllers + len(interfaces) + _SERIAL_AND_RANDOM


def _topology(size: GuestSize, *, sockets: int) -> Iterator[Choice]:
    if sockets != size.sockets:
        value = f"{sockets} sockets of {counted(size.vcpus // sockets, 'core')}"
        yield Choice("CPU topology", value, "a socket for each NUMA node, so that none lies on two")


def _places(layout: Layout) -> Iterator[Choice]:
    """Each GPU's place in the guest."""
    companions = {each.port: 0 for each in layout.functions}
    for each in layout.functions:
        companions[each.port] += each.guest_function > 0
    for each in layout.functions:
        if each.guest_function:
            continue
        beside = f", {counted(companions[each.port], 'companion')} beside it as on the card" if companions[each.port] else ""
        where = f", on a PCIe root of NUMA node {each.numa_cell}" if each.numa_cell is not None else ""
        yield Choice(f"GPU {each.host_address}", f"guest {each.guest_address}", f"a root port of its own{where}{beside}")
