"""Connections to simulated hosts."""

from __future__ import annotations

import threading

from provisioner.drivers.host_events import Listener
from provisioner.drivers.hypervisor import Console, Devices, Domains, Hypervisor, Inventory
from provisioner.drivers.networks import Networks
from provisioner.drivers.records import Records
from provisioner.drivers.simulated.console import SimulatedConsole
from provisioner.drivers.simulated.devices import SimulatedDevices
from provisioner.drivers.simulated.domains import SimulatedDomains
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.drivers.simulated.inventory import SimulatedInventory
from provisioner.drivers.simulated.link import Link
from provisioner.drivers.simulated.networks import SimulatedNetworks
from provisioner.drivers.simulated.records import SimulatedRecords
from provisioner.drivers.simulated.volumes import SimulatedVolumes
from provisioner.drivers.volumes import Volumes


class SimulatedHypervisor:
    """See drivers.hypervisor.Hypervisor."""

    def __init__(self, host: SimulatedHost) -> None:
        self._link = Link(host)
        self.inventory: Inventory = SimulatedInventory(self._link)
        self.volumes: Volumes = SimulatedVolumes(self._link)
        self.devices: Devices = SimulatedDevices(self._link)
        self.domains: Domains = SimulatedDomains(self._link)
        self.networks: Networks = SimulatedNetworks(self._link)
        self.console: Console = SimulatedConsole(self._link)
        self.records: Records = SimulatedRecords(self._link)

    @property
    def is_alive(self) -> bool:
        """Whether the connection was neither ended nor lost."""
        return self._link.is_alive

    def subscribe(self, listener: Listener) -> None:
        """See the protocol."""
        watchers = self._link.host.watchers
        if not watchers.has(self._link, listener):
            with self._link.call("subscribe") as state:
                watchers.add(self._link, listener, state=state)

    def close(self) -> None:
        """See the protocol. The connection itself stays open: others share it, and later callers will."""

    def hang_up(self) -> None:
        """End the connection for everybody who shares it; nobody is told."""
        self._link.is_closed = True
        self._link.host.watchers.drop(self._link)


class SimulatedConnector:
    """See drivers.hypervisor.Connector; opens `simulated://` URIs only."""

    def __init__(self, fleet: SimulatedFleet) -> None:
        self._fleet = fleet
        self._lock = threading.Lock()
        self._open: dict[str, SimulatedHypervisor] = {}

    def connect(self, uri: str) -> Hypervisor:
        """See the protocol."""
        host = self._fleet.at(uri)
        with host.call("connect"), self._lock:
            known = self._open.get(host.uri)
            if known is None or not known.is_alive:
                known = self._open[host.uri] = SimulatedHypervisor(host)
            return known

    def hang_up(self) -> None:
        """Close every connection, as the end of a process does: no call is made."""
        with self._lock:
            opened, self._open = self._open, {}
        for hypervisor in opened.values():
            hypervisor.hang_up()
