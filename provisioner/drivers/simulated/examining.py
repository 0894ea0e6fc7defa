"""A look at a simulated host from inside: its state in the words of the kernel's files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from provisioner.drivers.simulated.function_state import FunctionState
from provisioner.drivers.simulated.huge_pages import free_pages
from provisioner.drivers.simulated.state import HostState
from provisioner.model.examination import FunctionExamination, Holder, HostExamination

SOURCE = "simulated"
QEMU = "qemu-system-x86"
_PROCESS = re.compile(r"(?P<command>.*?)(?: \(pid (?P<pid>\d+)\))?")
_NOBODY_KNOWS = 4711
_FIRST_QEMU = 5000
STUCK_PID = 666


def examination_of(state: HostState, addresses: Sequence[str]) -> HostExamination:
    """The host with these functions and every member of their groups; without a source where no shell leads there."""
    inside = state.inside
    if inside.why_not:
        return HostExamination(why_not=inside.why_not)
    has_iommu = any(function.iommu_group is not None for function in state.functions.values())
    guests_mib = sum(live.memory_mib for _, live in state.running())
    return HostExamination(
        source=SOURCE,
        boot_id=state.boot_id,
        kernel_release=inside.kernel_release,
        kernel_command_line=inside.kernel_command_line,
        iommu_units=("dmar0",) if has_iommu else (),
        iommu_address_width_bits=inside.iommu_address_width_bits if has_iommu else None,
        interrupt_remapping=inside.interrupt_remapping,
        unsafe_interrupts_allowed=inside.unsafe_interrupts_allowed,
        cpu_address_width_bits=inside.cpu_address_width_bits,
        memory_available_mib=max(0, state.memory_mib - inside.memory_taken_mib - guests_mib),
        memlock_limit_mib=inside.memlock_limit_mib,
        hugepages=free_pages(state),
        framebuffers=inside.framebuffers,
        has_kvm_node=state.kvm != "absent",
        has_vfio_module=inside.has_vfio_module,
        functions=tuple(_examined(state, function) for function in _asked(state, addresses)),
    )


def _asked(state: HostState, addresses: Sequence[str]) -> list[FunctionState]:
    found: dict[str, FunctionState] = {}
    for address in addresses:
        function = state.functions.get(address)
        if function is not None and function.is_present:
            found |= {member.address: member for member in state.group_of(function)}
    return [found[address] for address in sorted(found)]


def _examined(state: HostState, function: FunctionState) -> FunctionExamination:
    members = state.group_of(function) if function.iommu_group is not None else []
    return FunctionExamination(
        address=function.address,
        vendor=function.vendor,
        device=function.device,
        subsystem_vendor=function.subsystem_vendor,
        subsystem_device=function.subsystem_device,
        revision=function.revision,
        pci_class=function.pci_class,
        driver=function.driver,
        driver_override="" if function.is_stuck else function.driver_override,
        is_bridge=function.is_bridge,
        iommu_group=function.iommu_group,
        group_members=tuple(sorted(member.address for member in members)),
        numa_node=function.numa_node,
        parent=function.pcie_parent,
        config_alive=None if function.is_stuck else function.config_alive,
        power_state=function.power_state,
        d3cold_allowed=True,
        reset_methods=function.reset_methods,
        virtual_functions=function.virtual_functions,
        link_width=function.link_width,
        link_width_max=function.link_width_max,
        link_speed_gts=function.link_speed_gts,
        link_speed_max_gts=function.link_speed_max_gts,
        boot_vga=function.boot_vga,
        bars=function.bars,
        aer=function.aer,
        serial="" if function.is_stuck else function.serial,
        holders=tuple(holders_of(state, function)),
    )


def holders_of(state: HostState, function: FunctionState) -> Iterator[Holder]:
    """Whoever has the function open, or, once it is on vfio-pci, its group; the QEMUs of running domains are among them."""
    is_on_vfio = function.driver == "vfio-pci"
    sharers = [each for each in state.group_of(function) if each.driver == "vfio-pci"] if is_on_vfio else [function]
    path = f"/dev/vfio/{function.iommu_group}" if is_on_vfio else _node(state, function)
    for sharer in sharers:
        if sharer.holder:
            yield _holder(sharer.holder, path=path)
    if function.is_stuck:
        yield stuck_helper(function)
    for number, (record, live) in enumerate(state.running()):
        passed = {device.host_address for device in live.devices}
        if any(sharer.address in passed for sharer in sharers):
            yield Holder(pid=_FIRST_QEMU + number, command=f"{QEMU}, domain {record.config.name}", path=path)


def stuck_helper(function: FunctionState) -> Holder:
    """The process of ours that hangs over it."""
    address = function.address
    return Holder(pid=STUCK_PID, command=f"hk-{address}", path=f"/sys/bus/pci/devices/{address}")


def _node(state: HostState, function: FunctionState) -> str:
    gpus = sorted(address for address, other in state.functions.items() if other.product or other.bars)
    minor = gpus.index(function.address) if function.address in gpus else 0
    return f"/dev/nvidia{minor}" if function.driver == "nvidia" else f"/dev/dri/card{minor}"


def _holder(text: str, *, path: str) -> Holder:
    found = _PROCESS.fullmatch(text)
    command, pid = (found["command"], found["pid"]) if found else (text, None)
    return Holder(pid=int(pid or _NOBODY_KNOWS), command=command, path=path)
