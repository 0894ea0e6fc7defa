"""A simulated fleet with one L40S host, and a guest to be put on it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from provisioner.clocks import ManualClock
from provisioner.drivers.guest.protocol import GuestDoor
from provisioner.drivers.hypervisor import DomainState, Hypervisor
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.guests import SimulatedGuests
from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.model.guest_report import GuestReport
from tests.contract.guest_benches import GuestKit


@dataclass
class Lab:
    """Everything of a story on one host."""

    clock: ManualClock
    fleet: SimulatedFleet
    host: SimulatedHost
    connector: SimulatedConnector
    guests: SimulatedGuests
    kit: GuestKit

    @property
    def hypervisor(self) -> Hypervisor:
        """An open connection: the one that is shared, or a new one when that was lost."""
        return self.connector.connect(self.host.uri)

    @property
    def door(self) -> GuestDoor:
        """The guest's door."""
        return self.kit.door(self.host.uri)

    def state(self, domain: str = "g") -> DomainState:
        """What that domain is doing."""
        found = self.hypervisor.domains.look(domain)
        return DomainState.ABSENT if found is None else found.state

    def report(self) -> GuestReport:
        """What the guest says of itself now."""
        return self.guests.report(self.door, timeout_s=10)


@pytest.fixture
def lab() -> Lab:
    """An L40S host, and a guest that is not started yet."""
    clock = ManualClock()
    fleet = SimulatedFleet(clock)
    host = fleet.add_host("a")
    return Lab(clock, fleet, host, SimulatedConnector(fleet), SimulatedGuests(fleet), GuestKit())
