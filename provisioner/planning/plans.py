"""The value that leaves planning: the whole of a domain, decided, as data. Templates only write it down."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.model.pci import address_of


@dataclass(frozen=True, slots=True)
class PassedFunction:
    """One PCI function passed to the guest, with the guest slot that it gets."""

    host_address: str
    port: int
    """Index of the PCI controller (a root port) that it sits on."""
    guest_bus: int
    """The number that firmware gives to the bus behind that port."""
    guest_function: int
    """0 for the GPU; its companions follow at 1, 2, … of the same slot, as on the physical card."""
    is_multifunction: bool
    """On function 0, when others share the slot."""
    alias: str
    """`ua-gpu0`, `ua-gpu0-1`: maps libvirt's events back to the GPU."""
    numa_cell: int | None = None
    """The guest's NUMA node of that port; None where the guest has none."""

    @property
    def guest_address(self) -> str:
        """Where the guest finds it, if its firmware numbers buses as planned."""
        return address_of(0, self.guest_bus, 0, self.guest_function)


@dataclass(frozen=True, slots=True)
class ExpanderBus:
    """A PCIe root of its own, whose devices belong to one NUMA node of the guest."""

    index: int
    """Of its controller."""
    bus_number: int
    """Of the root in the guest; the buses behind its ports follow."""
    cell: int
    ports: tuple[int, ...]
    """Indexes of its root ports, at slots 0, 1, …"""


@dataclass(frozen=True, slots=True)
class NumaCell:
    """A NUMA node of the guest, backed by one of the host."""

    id: int
    host_node: int
    first_vcpu: int
    vcpus: int
    memory_mib: int

    @property
    def vcpu_range(self) -> str:
        """`0-7`, or `0`."""
        last = self.first_vcpu + self.vcpus - 1
        return str(last) if self.vcpus == 1 else f"{self.first_vcpu}-{last}"


@dataclass(frozen=True, slots=True)
class VcpuPin:
    """Host CPUs that one vCPU runs on, as `5` or `0-3,8`."""

    vcpu: int
    cpuset: str


@dataclass(frozen=True, slots=True)
class AddressWidth:
    """How many physical address bits the guest sees."""

    mode: str
    """`passthrough`: the host CPU's; `emulate`: exactly `bits`."""
    bits: int | None = None
    """In mode passthrough an upper limit; None: no limit."""


@dataclass(frozen=True, slots=True)
class DomainDisk:
    """One disk of the guest."""

    pool: str
    volume: str
    format: str
    target: str
    bus: str
    is_cdrom: bool = False
    boot_order: int | None = None


@dataclass(frozen=True, slots=True)
class DomainInterface:
    """One network interface."""

    kind: str
    """As libvirt says it: `network`, `bridge` or `direct`."""
    source: str
    """The libvirt network, or the bridge or device of the host."""
    mac_address: str
    filter_name: str = ""
    """The network filter in front of it; empty: none."""


@dataclass(frozen=True, slots=True)
class DomainPlan:
    """Everything that the domain's XML says. Sizes in MiB, times in seconds."""

    name: str
    uuid: str
    owner_uid: str
    owner: str
    """`namespace/name`, for people who read the XML."""
    smbios_serial: str
    domain_type: str
    """kvm or qemu."""
    cpu_mode: str
    """host-passthrough, host-model or maximum."""
    cpu_model: str
    machine: str
    firmware: str
    """bios or efi."""
    memory_mib: int
    sockets: int
    cores_per_socket: int
    root_ports: int
    """How many pcie-root-port controllers to declare on the main root; indexes 1 … root_ports."""
    functions: tuple[PassedFunction, ...]
    disks: tuple[DomainDisk, ...]
    interfaces: tuple[DomainInterface, ...]
    on_reboot: str
    """restart; destroy for guests that are nested under emulation, whose resets are silent."""
    pv_spinlocks: bool = True
    """Whether KVM offers paravirtual spinlocks; off for guests that are nested under emulation, where wake-ups get lost."""
    expanders: tuple[ExpanderBus, ...] = ()
    cells: tuple[NumaCell, ...] = ()
    memory_mode: str = "preferred"
    """Of each cell: `preferred`, or `strict` where nothing else is possible."""
    hugepage_kib: int | None = None
    """Size of the huge pages that memory is made of; None: ordinary pages."""
    is_pinned: bool = False
    """Whether all memory stays where it is from the start, as a passed device demands."""
    pins: tuple[VcpuPin, ...] = ()
    emulator_cpuset: str = ""
    """Host CPUs for QEMU's own threads; empty: anywhere."""
    pci_hole64_kib: int | None = None
    firmware_window_mib: int | None = None
    """OVMF's 64-bit window, where its own choice is too small."""
    address_width: AddressWidth | None = None
    console_log: bool = True

    @property
    def vcpus(self) -> int:
        """Virtual CPUs in all."""
        return self.sockets * self.cores_per_socket


@dataclass(frozen=True, slots=True)
class Budgets:
    """How long each long step may take, computed from the VM's size; seconds."""

    image_s: float
    bind_s: float
    start_s: float
    address_s: float
    reach_s: float
    verify_s: float
    shutdown_s: float
