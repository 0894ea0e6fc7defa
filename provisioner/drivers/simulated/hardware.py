"""What a simulated host is made of, as values: its GPUs, memory, storage and networks.

Addresses, IOMMU groups and PCIe parents that are left open are chosen by position, so the same declaration is always the same
machine. Ready-made hosts are in `presets`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from provisioner.drivers.simulated.bars import bars_of
from provisioner.drivers.simulated.function_state import FunctionState
from provisioner.drivers.simulated.inside import Inside
from provisioner.drivers.simulated.network_state import NetworkRecords
from provisioner.drivers.simulated.state import HostState, PoolState
from provisioner.model.examination import Bar

KvmKind = Literal["works", "broken", "absent"]
"""`broken`: the device node is there and domains start, but no guest gets anywhere."""


NO_SHELL = "this host is reached through libvirt only"


@dataclass(frozen=True, slots=True)
class SimulatedFunction:
    """A function that shares the card, or the IOMMU group, of a GPU."""

    id: str
    """`vendor:device`."""
    pci_class: str = "040300"
    driver: str = "snd_hda_intel"
    """The driver that the kernel chooses for it; empty if none."""
    address: str = ""
    """Where it is not the next function of the GPU's own card."""
    is_bridge: bool = False
    reset_methods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SimulatedGpu:
    """One GPU with everything in its group."""

    id: str = "10de:26b9"
    product: str = "NVIDIA L40S"
    """What nvidia-smi in a guest calls it."""
    memory_mib: int = 46068
    pci_class: str = "030200"
    driver: str = "nvidia"
    """The driver that the kernel chooses for it, bound at first; empty if none."""
    companions: tuple[SimulatedFunction, ...] = ()
    numa_node: int | None = 0
    address: str = ""
    """`0000:41:00.0`, `0000:42:00.0`, … in the order of the host's GPUs if empty."""
    iommu_group: int | None = None
    """20, 21, … in the order of the host's GPUs if None."""
    pcie_parent: str = ""
    """A root port of its own if empty."""
    subsystem: str = "10de:1851"
    revision: str = "a1"
    serial: str = ""
    """Device Serial Number; one that no other card has if empty."""
    reset_methods: tuple[str, ...] = ("flr", "bus")
    bars: tuple[Bar, ...] = ()
    """Those of its product if empty."""
    link_width: int = 16


@dataclass(frozen=True, slots=True)
class SimulatedHardware:
    """One host."""

    gpus: tuple[SimulatedGpu, ...] = (SimulatedGpu(),)
    memory_mib: int = 256 * 1024
    cpus: int = 32
    numa_nodes: int = 1
    pools: dict[str, int] = field(default_factory=lambda: {"default": 2 * 1024**4})
    """Capacity in bytes by name; a pool lives in /var/lib/libvirt/<name>."""
    networks: tuple[str, ...] = ("default",)
    forwards: dict[str, str] = field(default_factory=dict)
    """Forward mode of a network that is not NAT."""
    kvm: KvmKind = "works"
    has_iommu: bool = True
    """Whether the IOMMU is switched on in firmware and kernel; without it no function is in a group."""
    can_be_examined: bool = True
    """Whether a shell leads there; without one there is what libvirt tells, and nothing else."""


class HardwareChanges(TypedDict, total=False):
    """The fields of SimulatedHardware, each of which may be given anew when a host is added."""

    gpus: tuple[SimulatedGpu, ...]
    memory_mib: int
    cpus: int
    numa_nodes: int
    pools: dict[str, int]
    networks: tuple[str, ...]
    forwards: dict[str, str]
    kvm: KvmKind
    has_iommu: bool
    can_be_examined: bool


def build_state(name: str, hardware: SimulatedHardware) -> HostState:
    """The host as it is right after its own boot: every device on the driver that the kernel chose."""
    functions = [function for index, gpu in enumerate(hardware.gpus) for function in _functions(name, index, gpu)]
    for function in functions:
        function.iommu_group = function.iommu_group if hardware.has_iommu else None
        function.probe()
    return HostState(
        name=name,
        memory_mib=hardware.memory_mib,
        cpus=hardware.cpus,
        numa_nodes=hardware.numa_nodes,
        kvm=hardware.kvm,
        networks={network: True for network in hardware.networks},
        functions={function.address: function for function in functions},
        pools={
            pool: PoolState(name=pool, path=f"/var/lib/libvirt/{pool}", capacity_bytes=capacity)
            for pool, capacity in hardware.pools.items()
        },
        wires=NetworkRecords(forwards=dict(hardware.forwards)),
        inside=Inside(why_not="" if hardware.can_be_examined else NO_SHELL),
    )


def _functions(host: str, index: int, gpu: SimulatedGpu) -> list[FunctionState]:
    address = gpu.address or f"0000:{0x41 + index:02x}:00.0"
    group = 20 + index if gpu.iommu_group is None else gpu.iommu_group
    parent = gpu.pcie_parent or f"0000:40:{1 + index // 8:02x}.{index % 8}"
    vendor, device = gpu.id.split(":")
    own = FunctionState(
        address=address,
        vendor=vendor,
        device=device,
        pci_class=gpu.pci_class,
        native_driver=gpu.driver,
        iommu_group=group,
        numa_node=gpu.numa_node,
        pcie_parent=parent,
        product=gpu.product,
        memory_mib=gpu.memory_mib,
        revision=gpu.revision,
        serial=gpu.serial or _serial(host, address),
        reset_methods=gpu.reset_methods,
        bars=gpu.bars or bars_of(gpu.id, address=address, memory_mib=gpu.memory_mib),
        link_width=gpu.link_width,
    )
    own.subsystem_vendor, own.subsystem_device = gpu.subsystem.split(":")
    card = address.rsplit(".", 1)[0]
    return [own, *(_companion(f"{card}.{n}", part, own) for n, part in enumerate(gpu.companions, start=1))]


def _companion(address: str, part: SimulatedFunction, gpu: FunctionState) -> FunctionState:
    vendor, device = part.id.split(":")
    return FunctionState(
        address=part.address or address,
        vendor=vendor,
        device=device,
        pci_class=part.pci_class,
        native_driver=part.driver,
        iommu_group=gpu.iommu_group,
        numa_node=gpu.numa_node,
        pcie_parent=gpu.pcie_parent,
        is_bridge=part.is_bridge,
        subsystem_vendor=gpu.subsystem_vendor,
        subsystem_device=gpu.subsystem_device,
        revision=gpu.revision,
        reset_methods=part.reset_methods,
    )


def _serial(host: str, address: str) -> str:
    """As lspci writes a Device Serial Number; another one for every card of the fleet."""
    digits = f"{zlib.crc32(host.encode()):08x}{zlib.crc32(address.encode()):08x}"
    return "-".join(digits[at : at + 2] for at in range(0, len(digits), 2))
