"""Hosts for the control-plane benchmark: domains are those of the real libvirt driver, everything else is simulated.

libvirt's test driver knows domains and nothing of uploads, devices or KVM, so each host is a simulated one whose `domains` go
through LibvirtDomains to `test:///default`: real XML, real schema check, real calls. All hosts share that one libvirtd in
this process. Two things are bent: the XML's type becomes `test`, and ejecting a CD-ROM, which the test driver cannot do, is a
look.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from provisioner.drivers.guest.protocol import GuestDoor
from provisioner.drivers.host_events import HostEvent, Listener
from provisioner.drivers.hypervisor import Console, Devices, Domain, Domains, Hypervisor, Inventory
from provisioner.drivers.libvirt import LibvirtConnector
from provisioner.drivers.networks import Networks
from provisioner.drivers.records import Records
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.drivers.volumes import Volumes
from provisioner.model.guest_report import CloudInitState, GuestFunction, GuestReport

URI = "test:///default"


@dataclass(slots=True)
class Switchboard:
    """What the hosts have in common: which domain was defined by whom, and who wants to hear of a host's domains."""

    defined: dict[str, str] = field(default_factory=dict)
    """The XML of every domain that was defined, by name."""
    homes: dict[str, str] = field(default_factory=dict)
    """The URI of the host that defined it."""
    listeners: dict[str, Listener] = field(default_factory=dict)
    """By URI."""

    def hear(self, event: HostEvent) -> None:
        """Pass what libvirt tells of a domain on to the host that the domain is on."""
        listener = self.listeners.get(self.homes.get(event.subject, ""))
        if listener is not None:
            listener(event)


class TestDriverDomains:
    """The real driver's domains, with XML made fit for libvirt's test driver."""

    __test__ = False

    def __init__(self, domains: Domains, *, uri: str, switchboard: Switchboard) -> None:
        self._domains = domains
        self._uri = uri
        self._switchboard = switchboard
        self.start = domains.start
        self.shutdown = domains.shutdown
        self.destroy = domains.destroy
        self.undefine = domains.undefine
        self.look = domains.look
        self.owned = domains.owned
        self.addresses = domains.addresses

    def define(self, xml: str) -> Domain:
        """As the driver does."""
        retyped = xml.replace('<domain type="kvm">', '<domain type="test">', 1)
        domain = self._domains.define(retyped)
        self._switchboard.defined[domain.name] = retyped
        self._switchboard.homes[domain.name] = self._uri
        return domain

    def eject(self, name: str, target: str) -> None:
        """A look at the domain, in place of what the test driver has no code for."""
        self._domains.look(name)


class HybridHypervisor:
    """A simulated host with real domains."""

    def __init__(self, twin: Hypervisor, real: Hypervisor, *, uri: str, switchboard: Switchboard) -> None:
        self._twin = twin
        self._real = real
        self._uri = uri
        self._switchboard = switchboard
        self.domains: Domains = TestDriverDomains(real.domains, uri=uri, switchboard=switchboard)
        self.inventory: Inventory = twin.inventory
        self.volumes: Volumes = twin.volumes
        self.devices: Devices = twin.devices
        self.networks: Networks = twin.networks
        self.console: Console = twin.console
        self.records: Records = real.records

    def subscribe(self, listener: Listener) -> None:
        """To what the twin tells of its devices and the real driver of its domains."""
        self._switchboard.listeners[self._uri] = listener
        self._twin.subscribe(listener)
        self._real.subscribe(self._switchboard.hear)

    def close(self) -> None:
        """Give the twin's connection up."""
        self._twin.close()


class HybridConnector:
    """Opens `simulated://NAME` with domains on `test:///default`."""

    def __init__(self, fleet: SimulatedFleet) -> None:
        self._twins = SimulatedConnector(fleet)
        self._libvirt = LibvirtConnector()
        self._switchboard = Switchboard()

    @property
    def defined(self) -> dict[str, str]:
        """The XML of every domain that was defined, by name."""
        return self._switchboard.defined

    def connect(self, uri: str) -> Hypervisor:
        """As both drivers do: their cost is part of what is measured."""
        real = self._libvirt.connect(URI)
        return HybridHypervisor(self._twins.connect(uri), real, uri=uri, switchboard=self._switchboard)

    def close(self) -> None:
        """Give the connections up."""
        self._libvirt.close()


class PromptGuests:
    """Guests that answer at once with the stand-in GPU that was passed to them: no time of a guest is measured here."""

    def report(self, door: GuestDoor, *, timeout_s: float) -> GuestReport:
        """One stand-in with its companion; the boot id belongs to the key of the start."""
        return GuestReport(
            boot_id=hashlib.sha256(door.private_key.encode()).hexdigest()[:32],
            hostname="bench",
            cloud_init=CloudInitState(status="done"),
            functions=(
                GuestFunction(address="0000:01:00.0", vendor="1234", device="1111", pci_class="038000"),
                GuestFunction(address="0000:01:00.1", vendor="8086", device="293e", pci_class="040300"),
            ),
        )

    def hand_over(self, door: GuestDoor, *, timeout_s: float) -> None:
        """It is done."""
