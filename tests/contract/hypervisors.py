"""What the hypervisor contract runs against: one Bench per implementation.

The contract's classes ask for a fixture named `bench`. Here it is the simulated twin and libvirt's own test driver; a suite
that has a real host imports the classes and defines a `bench` of its own (see `Bench.for_host`): the same sentences run there.
"""

from __future__ import annotations

import itertools
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from provisioner.clocks import ManualClock
from provisioner.drivers.hypervisor import Connector, DomainState, Hypervisor
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.drivers.simulated.presets import EIGHT_H100, ONE_L40S
from provisioner.model.examination import ScrubResult
from provisioner.model.gpu_host import GpuFacts, GpuRule

MARK_NAMESPACE = "https://hikube.cloud/xmlns/domain/1"
LIMIT_S = 120.0
ANY_DISPLAY = (GpuRule(pci_class="03"),)
_NUMBERS = itertools.count(1)


@dataclass
class Bench:
    """One open host, and what the contract must know of it."""

    uri: str
    connector: Connector
    domain_type: str
    pool: str = "default"
    network: str = ""
    """For domains that shall have an interface; empty: they have none."""
    lan: str = "default"
    """A libvirt network with DHCP, to reserve addresses on."""
    rules: tuple[GpuRule, ...] = ANY_DISPLAY
    gaps: frozenset[str] = frozenset()
    """Calls that this host cannot do, and says so with Unsupported."""
    dead_uri: str = ""
    """A URI that this connector understands and where nobody answers."""
    wait: Callable[[float], None] = field(default=lambda _duration_s: None)
    """Let that many seconds pass."""
    kill: Callable[[str], None] | None = None
    """Let QEMU of that domain die."""
    stage_scrub: Callable[[int, str, float], None] = field(default=lambda _status, _output, _takes_s: None)
    """Have scrub commands end with that status, that output, after so many seconds, where they are not really run."""
    restart_daemon: Callable[[], None] | None = None
    """Let libvirtd die and start again."""
    stopped_pool: Callable[[], AbstractContextManager[str]] | None = None
    """Have a pool that is not active, for as long as the block takes; its name."""
    prefix: str = field(default_factory=lambda: f"hikube-contract-{next(_NUMBERS)}")
    """Everything that a test makes begins with it, and is removed after it."""

    @classmethod
    def for_host(cls, uri: str, connector: Connector, **facts: Any) -> Bench:
        """A bench on a real host, whose time passes by itself."""
        return cls(uri, connector, wait=_let_pass, **facts)

    @property
    def hypervisor(self) -> Hypervisor:
        """The open connection."""
        return self.connector.connect(self.uri)

    def needs(self, *calls: str) -> None:
        """Skip, by name, where the host cannot do it."""
        missing = sorted(self.gaps.intersection(calls))
        if missing:
            pytest.skip(f"{self.uri} cannot do {', '.join(missing)}")

    def name(self, suffix: str = "") -> str:
        """A name that no other test has."""
        return f"{self.prefix}{suffix}"

    def until(self, holds: Callable[[], bool], *, limit_s: float = LIMIT_S) -> None:
        """Wait for a condition, bounded."""
        step_s = 0.25
        for _ in range(int(limit_s / step_s)):
            if holds():
                return
            self.wait(step_s)
        assert holds(), f"not within {limit_s:g} s"

    def spare_gpu(self) -> GpuFacts:
        """A GPU that nobody uses, alone in its group but for its companions; skips by name where there is none."""
        self.needs("devices")
        status = self.hypervisor.inventory.survey(self.rules)
        for gpu in status.gpus if status.capabilities.vfio else ():
            is_shared = any(other.address in {c.address for c in gpu.companions} for other in status.gpus)
            if gpu.iommu_group is not None and not is_shared:
                return gpu
        pytest.skip(f"no assignable device on {self.uri}")

    def domain_xml(self, name: str, **parts: Any) -> str:
        """The XML of a small domain, marked as ours unless `owner_uid` is empty; see DomainText for the parts."""
        return DomainText(name, self.domain_type, **{"network": self.network} | parts).text()

    def define(self, name: str, **parts: Any) -> str:
        """Define a small domain; its name."""
        self.hypervisor.domains.define(self.domain_xml(name, **parts))
        return name

    def start(self, name: str, **parts: Any) -> str:
        """Define a small domain and start it; its name."""
        self.hypervisor.domains.start(self.define(name, **parts), timeout_s=LIMIT_S)
        return name

    def scrub(
        self, address: str, *, command: str, takes_s: float, status: int = 0, output: str = "", timeout_s: float = LIMIT_S
    ) -> ScrubResult:
        """Run the command; on a host that cannot run any, it ends as is said here that it does."""
        self.stage_scrub(status, output, takes_s)
        return self.hypervisor.devices.scrub(address, command=command, timeout_s=timeout_s)

    def state(self, name: str) -> DomainState:
        """What the domain is doing."""
        domain = self.hypervisor.domains.look(name)
        return DomainState.ABSENT if domain is None else domain.state

    def clean(self) -> None:
        """Remove whatever a test left."""
        hypervisor = self.hypervisor
        for domain in hypervisor.domains.owned():
            if domain.name.startswith(self.prefix):
                hypervisor.domains.destroy(domain.name, timeout_s=LIMIT_S)
                hypervisor.domains.undefine(domain.name)
        for volume in hypervisor.volumes.list(self.pool, prefix=self.prefix):
            hypervisor.volumes.delete(self.pool, volume.name)


@dataclass
class DomainText:
    """The XML of a domain that needs next to nothing."""

    name: str
    domain_type: str
    network: str = ""
    uuid: str = ""
    owner_uid: str = "uid-1"
    memory_mib: int = 64
    functions: tuple[str, ...] = ()
    disk: str = ""
    """Path of a qcow2 volume."""
    image: str = ""
    """Path of a raw volume to boot from."""
    has_serial: bool = False
    console_log: str = ""
    """Path of the file that keeps what the serial port says."""
    cdrom: str = ""
    """Path of an ISO volume; the drive `sda` is there, empty, without it."""
    has_cdrom: bool = False
    mac_address: str = "52:54:00:00:00:01"
    firmware: str = ""
    filter_name: str = ""
    """Of the interface."""

    def text(self) -> str:
        """As libvirt takes it."""
        ET.register_namespace("hikube", MARK_NAMESPACE)
        root = ET.Element("domain", type=self.domain_type)
        ET.SubElement(root, "name").text = self.name
        if self.uuid:
            ET.SubElement(root, "uuid").text = self.uuid
        if self.owner_uid:
            metadata = ET.SubElement(root, "metadata")
            ET.SubElement(metadata, f"{{{MARK_NAMESPACE}}}vm", uid=self.owner_uid, name=f"contract/{self.name}")
        ET.SubElement(root, "memory", unit="MiB").text = str(self.memory_mib)
        ET.SubElement(root, "vcpu").text = "1"
        system = ET.SubElement(root, "os", {"firmware": self.firmware} if self.firmware else {})
        ET.SubElement(system, "type", arch="x86_64", machine="q35").text = "hvm"
        ET.SubElement(ET.SubElement(root, "features"), "acpi")
        self._devices(ET.SubElement(root, "devices"))
        return ET.tostring(root, encoding="unicode")

    def _devices(self, devices: ET.Element) -> None:
        if self.disk:
            _disk(devices, "disk", "qcow2", self.disk, "vda", "virtio")
        if self.image:
            _disk(devices, "disk", "raw", self.image, "vdb", "virtio")
        if self.cdrom or self.has_cdrom:
            _disk(devices, "cdrom", "raw", self.cdrom, "sda", "sata")
        ET.SubElement(devices, "controller", type="usb", model="none")
        if self.network:
            interface = ET.SubElement(devices, "interface", type="network")
            ET.SubElement(interface, "mac", address=self.mac_address)
            ET.SubElement(interface, "source", network=self.network)
            if self.filter_name:
                ET.SubElement(interface, "filterref", filter=self.filter_name)
        for function in self.functions:
            _hostdev(devices, function)
        if self.has_serial:
            serial = ET.SubElement(devices, "serial", type="pty")
            if self.console_log:
                ET.SubElement(serial, "log", file=self.console_log, append="off")
        ET.SubElement(devices, "memballoon", model="none")


def _let_pass(duration_s: float) -> None:
    threading.Event().wait(duration_s)


def _disk(devices: ET.Element, device: str, image_format: str, path: str, target: str, bus: str) -> None:
    disk = ET.SubElement(devices, "disk", type="file", device=device)
    ET.SubElement(disk, "driver", name="qemu", type=image_format)
    if path:
        ET.SubElement(disk, "source", file=path)
    ET.SubElement(disk, "target", dev=target, bus=bus)
    if device == "cdrom":
        ET.SubElement(disk, "readonly")


def _hostdev(devices: ET.Element, address: str) -> None:
    domain, bus, rest = address.split(":")
    slot, function = rest.split(".")
    hostdev = ET.SubElement(devices, "hostdev", mode="subsystem", type="pci", managed="no")
    numbers = {"domain": domain, "bus": bus, "slot": slot, "function": function}
    ET.SubElement(ET.SubElement(hostdev, "source"), "address", {part: f"0x{digits}" for part, digits in numbers.items()})


def simulated_bench() -> Bench:
    """The simulated twin: a host with one L40S, in time that the test moves."""
    clock = ManualClock()
    fleet = SimulatedFleet(clock, seed=1)
    host = fleet.add_host("a", ONE_L40S)
    fleet.add_host("b", EIGHT_H100).set_link("down")

    @contextmanager
    def stopped_pool() -> Iterator[str]:
        with host.peek() as state:
            state.pools["default"].is_active = False
        yield "default"
        with host.peek() as state:
            state.pools["default"].is_active = True

    return Bench(
        host.uri,
        SimulatedConnector(fleet),
        domain_type="kvm",
        network="default",
        dead_uri="simulated://b",
        wait=clock.advance,
        kill=host.kill_qemu,
        restart_daemon=host.restart_daemon,
        stopped_pool=stopped_pool,
        stage_scrub=lambda status, output, takes_s: host.end_scrubs(status=status, output=output, takes_s=takes_s),
    )


LIBVIRT_TEST_GAPS = frozenset(
    {"volumes.upload", "volumes.resize", "volumes.capacity", "volumes.lock", "devices", "domains.eject", "inventory.prove_kvm"}
    | {"console.tail", "console.attach", "networks.filters", "networks.publish", "domains.start.refusals"}
)
"""What libvirt's test driver has no code for; it also knows no exclusive devices."""


def libvirt_test_bench() -> Bench:
    """libvirt's own test driver: real XML, real errors, nothing behind it."""
    connector_module = pytest.importorskip(
        "provisioner.drivers.libvirt.connector", reason="the libvirt binding is not installed"
    )
    return Bench.for_host(
        "test:///default",
        connector_module.LibvirtConnector(),
        domain_type="test",
        pool="default-pool",
        gaps=LIBVIRT_TEST_GAPS,
        dead_uri="qemu+tcp://127.0.0.1:1/system",
    )


BENCHES: dict[str, Callable[[], Bench]] = {"simulated": simulated_bench, "libvirt-test": libvirt_test_bench}
