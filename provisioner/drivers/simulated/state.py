"""Everything that a simulated host remembers, as plain data that can be written as JSON.

Mutable on purpose: it is the world, and the drivers are what acts on it. Times are seconds since the epoch, so that a state
file means the same to every process. Nothing here decides anything; the rules are beside it (`starting`, `devices`, `booting`);
what makes a PCI function and the inside of a host is in `function_state` and `inside`.
"""

from __future__ import annotations

import base64
import uuid
import zlib
from dataclasses import dataclass, field
from typing import Literal

from provisioner.drivers.hypervisor import DomainState
from provisioner.drivers.simulated.function_state import FunctionState
from provisioner.drivers.simulated.inside import Inside
from provisioner.drivers.simulated.network_state import NetworkRecords
from provisioner.model.network import NetworkFacts

CloudInitOutcome = Literal["done", "degraded", "error", "hangs"]


@dataclass(slots=True)
class GuestDisk:
    """What an operating system that booted from a volume left on it."""

    instance_id: str = ""
    host_public_key: str = ""
    controller_keys: tuple[str, ...] = ()
    """Public keys (`ssh-ed25519 AAAA…`, no comment) that may run the report command."""
    was_handed_over: bool = False


@dataclass(slots=True)
class VolumeState:
    """One volume."""

    name: str
    path: str
    capacity_bytes: int
    allocation_bytes: int
    image_format: str = "raw"
    base: str = ""
    """Name of the volume of the same pool that it is an overlay of."""
    is_uploaded: bool = False
    packed: str = ""
    """The content, compressed, as text; empty for one that is too big to be kept, and for volumes that were created."""
    guest: GuestDisk | None = None

    def keep(self, content: bytes) -> None:
        """Remember the content."""
        self.packed = base64.b64encode(zlib.compress(content)).decode()

    def content(self) -> bytes:
        """The content that was kept; empty if none was."""
        return zlib.decompress(base64.b64decode(self.packed)) if self.packed else b""


@dataclass(slots=True)
class PoolState:
    """One storage pool."""

    name: str
    path: str
    capacity_bytes: int
    foreign_bytes: int = 0
    """Taken by files that are not volumes."""
    is_active: bool = True
    volumes: dict[str, VolumeState] = field(default_factory=dict)

    @property
    def available_bytes(self) -> int:
        """Bytes that are left."""
        taken = self.foreign_bytes + sum(volume.allocation_bytes for volume in self.volumes.values())
        return max(0, self.capacity_bytes - taken)


@dataclass(frozen=True, slots=True)
class PassedDevice:
    """A `<hostdev>`."""

    host_address: str
    guest_address: str
    numa_node: int | None = None
    """Of the guest."""


@dataclass(slots=True)
class DiskDevice:
    """A `<disk>`: by file, or by pool and volume. All three empty: a drive without a medium."""

    target: str
    is_cdrom: bool
    path: str = ""
    pool: str = ""
    volume: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is no medium in it."""
        return not (self.path or self.volume)

    def eject(self) -> None:
        """Take the medium out."""
        self.path = self.pool = self.volume = ""


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """An `<interface>`."""

    mac_address: str
    network: str
    """Empty: it is on a bridge or an interface of the host."""
    source: str = ""
    """That bridge or interface."""
    is_direct: bool = False
    filter_name: str = ""


@dataclass(slots=True)
class DomainConfig:
    """What the XML of a domain says, as far as a simulated host needs it."""

    name: str
    uuid: str
    owner_uid: str
    domain_type: str
    cpu_mode: str
    memory_mib: int
    vcpus: int
    on_reboot: str
    has_console: bool
    console_log: str = ""
    """Path of the file that holds what the guest prints; empty: nothing is kept."""
    firmware: str = "bios"
    hugepage_kib: int = 0
    """0: ordinary pages."""
    memory_of_node_mib: dict[int, int] = field(default_factory=dict)
    """By node of the host; empty: anywhere."""
    disks: tuple[DiskDevice, ...] = ()
    devices: tuple[PassedDevice, ...] = ()
    interfaces: tuple[NetworkInterface, ...] = ()
    record: str = ""
    """What the metadata says about the VM beside the mark."""


@dataclass(slots=True)
class Boot:
    """One boot of a guest, decided when it began: what will have happened by when. None: never."""

    id: str
    started_s: float
    address_s: float | None = None
    ssh_s: float | None = None
    cloud_init_s: float | None = None
    console: str = ""
    """What the firmware says before any system runs."""
    echoed: list[tuple[float, str]] = field(default_factory=list)
    """What was typed on the console and when; the system sends it back."""


@dataclass(slots=True)
class GuestBehaviour:
    """How a guest shall behave; the default is a guest that works."""

    boots: bool = True
    gets_address: bool = True
    answers_ssh: bool = True
    heeds_shutdown: bool = True
    cloud_init: CloudInitOutcome = "done"
    nvidia_driver: str = "580.95.05"
    """Loaded once cloud-init is done, if an NVIDIA GPU is passed; empty: the installation silently did nothing."""
    missing_gpus: int = 0
    """How many of the passed GPUs, counted from the last, do not show up in the guest."""
    has_wrong_host_key: bool = False
    report_is_garbage: bool = False


@dataclass(slots=True)
class DomainRecord:
    """One domain: the definition, and while it runs the hardware that it was started with."""

    config: DomainConfig
    live: DomainConfig | None = None
    state: DomainState = DomainState.OFF
    starts: int = 0
    boots: int = 0
    boot: Boot | None = None
    last_boot: Boot | None = None
    """The one that ended last."""
    ended_s: float = 0.0
    """When that was."""
    ends_s: float | None = None
    """When it will have stopped, for what was set off: a shutdown, or a death that was staged."""
    ends_as: DomainState = DomainState.OFF
    sessions: int = 0
    """How many console sessions there were; the number of the last one is its name."""
    console_holder: int = 0
    """The session that is attached; 0 if none is."""
    console_seen_s: float = 0.0
    """When its holder was last heard of."""

    @property
    def is_running(self) -> bool:
        """Whether QEMU runs."""
        return self.state is DomainState.RUNNING

    def stop(self, state: DomainState, *, at_s: float) -> None:
        """QEMU has gone; passed devices stay on the driver that they have."""
        self.last_boot, self.ended_s = self.boot, at_s
        self.state, self.live, self.boot, self.ends_s = state, None, None, None
        self.console_holder = 0


@dataclass(slots=True)
class HostState:
    """One host."""

    name: str
    memory_mib: int
    cpus: int
    numa_nodes: int
    kvm: Literal["works", "broken", "absent"]
    networks: dict[str, bool]
    """Whether it is active, by name."""
    functions: dict[str, FunctionState]
    pools: dict[str, PoolState]
    domains: dict[str, DomainRecord] = field(default_factory=dict)
    leases: dict[str, str] = field(default_factory=dict)
    """IPv4 address by MAC address, kept as dnsmasq does when a guest comes back."""
    behaviours: dict[str, GuestBehaviour] = field(default_factory=dict)
    """By domain name; the empty name is for all the others."""
    link: Literal["up", "down", "hangs"] = "up"
    firmwares: tuple[str, ...] = ("bios", "efi")
    host_boots: int = 1
    """How often the host itself was booted."""
    inside: Inside = field(default_factory=Inside)
    wires: NetworkRecords = field(default_factory=NetworkRecords)

    @property
    def boot_id(self) -> str:
        """Another one after every boot of the host."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"simulated://{self.name}/boot/{self.host_boots}"))

    def network(self, name: str) -> NetworkFacts | None:
        """The libvirt network of that name, or None."""
        if name not in self.networks:
            return None
        position = list(self.networks).index(name)
        return self.wires.facts(name, active=self.networks[name], position=position, leases=self.leases)

    def settle(self, now_s: float) -> None:
        """Let happen whatever was due by now."""
        for record in self.domains.values():
            if record.is_running and record.ends_s is not None and now_s >= record.ends_s:
                record.stop(record.ends_as, at_s=record.ends_s)

    def running(self) -> list[tuple[DomainRecord, DomainConfig]]:
        """The running domains with the hardware that they were started with."""
        return [(record, record.live) for record in self.domains.values() if record.live is not None]

    def user_of(self, address: str) -> str:
        """The name of the running domain that has this function; empty if none."""
        for record, live in self.running():
            if any(device.host_address == address for device in live.devices):
                return record.config.name
        return ""

    def group_of(self, function: FunctionState) -> list[FunctionState]:
        """The present functions of its IOMMU group, itself included; itself alone if it has none."""
        if function.iommu_group is None:
            return [function]
        return [other for other in self.functions.values() if other.is_present and other.iommu_group == function.iommu_group]

    def behaviour_of(self, domain_name: str) -> GuestBehaviour:
        """How that domain's guest shall behave."""
        return self.behaviours.get(domain_name) or self.behaviours.get("") or GuestBehaviour()
