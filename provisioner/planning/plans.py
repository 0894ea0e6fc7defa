"""The value that leaves planning: the whole of a domain, decided, as data. Templates only write it down."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PassedFunction:
    """One PCI function passed to the guest, with the guest slot that it gets."""

    host_address: str
    guest_bus: int
    """Index of the PCI controller (a root port) that it sits on."""
    guest_function: int
    """0 for the GPU; its companions follow at 1, 2, … of the same slot, as on the physical card."""
    is_multifunction: bool
    """On function 0, when others share the slot."""
    alias: str
    """`ua-gpu0`, `ua-gpu0-1`: maps libvirt's events back to the GPU."""


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

    network: str
    mac_address: str


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
    """How many pcie-root-port controllers to declare; indexes 1 … root_ports."""
    functions: tuple[PassedFunction, ...]
    disks: tuple[DomainDisk, ...]
    interfaces: tuple[DomainInterface, ...]
    on_reboot: str
    """restart; destroy for guests that are nested under emulation, whose resets are silent."""
    pci_hole64_kib: int | None = None
    cpuset: str = ""
    """Host CPUs that vCPUs are kept on, `0-15`; empty: anywhere."""
    numa_nodeset: str = ""
    """Host NUMA node that the guest's memory comes from while it has some left; empty: anywhere."""
    passes_address_width: bool = False
    """Whether the guest sees the host's physical address width, which firmware needs to place large BARs."""
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
