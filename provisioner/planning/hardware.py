"""The hardware of a guest: from a VM, its host and its GPUs to a finished DomainPlan, each choice with its reason.

Everything that a domain's XML says is decided here, and nothing in the template. The same VM on the same host gives the same
plan at any time, so a domain that was lost can be defined again as it was. Facts behind the choices:
docs/reference/domain.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from provisioner.model import domain_names
from provisioner.model.gpu_host import GPUHost, NumaNode
from provisioner.model.sizing import GuestSize
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.model.vm_disk import VMDisk
from provisioner.planning.disk_layout import disks_of
from provisioner.planning.host_labels import is_nested_emulation
from provisioner.planning.pci_layout import DEFAULT_HOLE_BYTES, SPARE_PORTS, hole_bytes, passed_functions
from provisioner.planning.plans import DomainDisk, DomainInterface, DomainPlan
from provisioner.planning.refusals import counted, memory_in_words

KVM, EMULATED = "kvm", "qemu"
_SHARE_OF_FIRMWARE = 8
"""OVMF and SeaBIOS make the window one part in so many of the address space."""
_SERIAL_AND_RANDOM = 2
"""virtio devices that every guest has beside disks and interfaces: the agent's channel and the random number generator."""


@dataclass(frozen=True, slots=True)
class HardwarePlan:
    """The plan, and why it is so."""

    plan: DomainPlan
    reasons: tuple[str, ...]


def plan_domain(
    vm: VirtualMachine,
    *,
    size: GuestSize,
    host: GPUHost,
    tables: Tables,
    vm_disks: Iterable[VMDisk] = (),
    firmware: str = "bios",
) -> HardwarePlan:
    """The domain of this VM on this host with the GPUs that its status says it owns.

    Raises:
        NotFound: the spec names a VMDisk that was not given.
        Unsupported: too many functions travel with a GPU.
    """
    disks = disks_of(vm, vm_disks=vm_disks, pool=host.spec.storage_pool)
    interfaces = _interfaces(vm, host)
    way = _way_to_run(vm, host)
    hole, why_hole = _hole(vm, host, tables)
    cpuset, nodeset, why_node = _node(vm, size=size, host=host)
    plan = DomainPlan(
        name=domain_names.domain_name(vm.key),
        uuid=domain_names.domain_uuid(vm.key, cloud_init_seed=vm.spec.cloud_init_seed),
        owner_uid=vm.metadata.uid,
        owner=f"{vm.metadata.namespace}/{vm.metadata.name}",
        smbios_serial=vm.metadata.uid,
        domain_type=way.domain_type,
        cpu_mode=way.cpu_mode,
        cpu_model=vm.spec.cpu_model,
        machine=host.status.capabilities.machine,
        firmware=firmware,
        memory_mib=size.memory_mib,
        sockets=size.sockets,
        cores_per_socket=size.cores_per_socket,
        root_ports=_root_ports(vm, disks=disks, interfaces=interfaces),
        functions=passed_functions(vm.status.gpus),
        disks=disks,
        interfaces=interfaces,
        on_reboot=way.on_reboot,
        pci_hole64_kib=hole // 1024 if hole > DEFAULT_HOLE_BYTES else None,
        cpuset=cpuset,
        numa_nodeset=nodeset,
        passes_address_width=way.domain_type == KVM and not vm.spec.cpu_model and hole > DEFAULT_HOLE_BYTES,
    )
    return HardwarePlan(plan, tuple(filter(None, (*way.reasons, _why_pci(plan), why_hole, why_node))))


@dataclass(frozen=True, slots=True)
class _WayToRun:
    """How the host's CPU and hypervisor execute the guest."""

    domain_type: str
    cpu_mode: str
    on_reboot: str
    reasons: tuple[str, ...]


def _way_to_run(vm: VirtualMachine, host: GPUHost) -> _WayToRun:
    domain_type, why_type = _domain_type(host)
    cpu_mode, why_cpu = _cpu_mode(vm, host, domain_type=domain_type)
    on_reboot, why_reboot = _on_reboot(host, domain_type=domain_type)
    return _WayToRun(domain_type, cpu_mode, on_reboot, (why_type, why_cpu, why_reboot))


def _domain_type(host: GPUHost) -> tuple[str, str]:
    kvm = host.status.kvm
    if kvm.works:
        return KVM, "KVM, which was seen to run a guest there"
    found = kvm.message or ("KVM does not work there" if kvm.works is False else "KVM was not proven there")
    return EMULATED, f"emulation, since {found}"


def _cpu_mode(vm: VirtualMachine, host: GPUHost, *, domain_type: str) -> tuple[str, str]:
    """host-passthrough shows the guest the very CPU, which libvirt offers under KVM only; `maximum` is its like under TCG."""
    if vm.spec.cpu_model:
        return "custom", f"CPU model {vm.spec.cpu_model}, as the spec asks"
    offered = host.status.capabilities.cpu_modes
    best_first = ("host-passthrough", "host-model", "maximum") if domain_type == KVM else ("maximum", "host-model")
    mode = next((mode for mode in best_first if not offered or mode in offered), best_first[-1])
    return mode, f"CPU mode {mode}, the best that the host offers under {domain_type}"


def _on_reboot(host: GPUHost, *, domain_type: str) -> tuple[str, str]:
    """A guest under emulation can reset without a word and would look like a slow boot; stopped, it can be seen."""
    if domain_type == KVM and not is_nested_emulation(host):
        return "restart", ""
    return "destroy", "a reset stops the guest, since under emulation a reset may be silent"


def _hole(vm: VirtualMachine, host: GPUHost, tables: Tables) -> tuple[int, str]:
    facts = {gpu.address: gpu for gpu in host.status.gpus}
    hole, source = hole_bytes(vm.status.gpus, facts=facts, catalogue=tables.gpus)
    if hole <= DEFAULT_HOLE_BYTES:
        return hole, ""
    width = host.status.capabilities.address_width_bits
    if width and hole > 2**width // _SHARE_OF_FIRMWARE:
        why = f"the GPUs want a 64-bit PCI window of {hole // 2**30} GiB, by {source}, and firmware may not find it"
        # QEMU refuses to start with a window beyond the last address.
        return min(hole, 2**width // 4), f"{why} in {width} address bits"
    return hole, f"a 64-bit PCI window of {hole // 2**30} GiB, by {source}"


def _node(vm: VirtualMachine, *, size: GuestSize, host: GPUHost) -> tuple[str, str, str]:
    """CPUs and node of the one NUMA node that holds all GPUs; nothing where there is no such node, or only one in all.

    Memory prefers the node and is not bound to it: a bound guest dies where an unbound one is a little slower.
    """
    node_of = {gpu.address: gpu.numa_node for gpu in host.status.gpus}
    nodes = {node_of.get(gpu.address) for gpu in vm.status.gpus}
    node = next((node for node in host.status.numa_nodes if nodes == {node.id}), None)
    if node is None or len(host.status.numa_nodes) < 2:
        return "", "", ""
    vcpus = size.sockets * size.cores_per_socket
    if vcpus > len(node.cpus):
        why = f"memory from NUMA node {node.id}, beside the GPUs; its {len(node.cpus)} CPUs are too few for {vcpus} vCPUs"
        return "", str(node.id), why
    return _ranges(node), str(node.id), f"vCPUs and memory on NUMA node {node.id}, beside the GPUs"


def _ranges(node: NumaNode) -> str:
    """`0-3,8-11`."""
    runs: list[list[int]] = []
    for cpu in sorted(node.cpus):
        if runs and cpu == runs[-1][-1] + 1:
            runs[-1].append(cpu)
        else:
            runs.append([cpu])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _interfaces(vm: VirtualMachine, host: GPUHost) -> tuple[DomainInterface, ...]:
    names = [network.name for network in vm.spec.networks] or [name for name in (host.spec.network,) if name]
    return tuple(
        DomainInterface(network=name, mac_address=domain_names.mac_address(vm.metadata.uid, index=index))
        for index, name in enumerate(names)
    )


def _root_ports(vm: VirtualMachine, *, disks: Sequence[DomainDisk], interfaces: Sequence[DomainInterface]) -> int:
    virtio_disks = sum(disk.bus == "virtio" for disk in disks)
    scsi_controllers = int(any(disk.bus == "scsi" for disk in disks))
    virtio = virtio_disks + scsi_controllers + len(interfaces) + _SERIAL_AND_RANDOM
    return len(vm.status.gpus) + virtio + SPARE_PORTS


def _why_pci(plan: DomainPlan) -> str:
    gpus = sum(function.guest_function == 0 for function in plan.functions)
    if not gpus:
        return ""
    companions = len(plan.functions) - gpus
    beside = f", {counted(companions, 'companion')} in their slots" if companions else ""
    return f"a PCIe root port for each GPU{beside}; all {memory_in_words(plan.memory_mib)} are pinned"
