"""The twin for people: simulated hosts that live in files and go by the wall clock, for whoever has no GPU host at hand.

Connectors and guests made here share nothing but the state files, so any number of them, in any number of processes, see the
same hosts: `simulated://l40s?state=/path.json`.
"""

from __future__ import annotations

from provisioner.clocks import SystemClock
from provisioner.drivers.guest.protocol import Guests
from provisioner.drivers.hypervisor import Connector
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.guests import SimulatedGuests
from provisioner.drivers.simulated.hypervisor import SimulatedConnector


def file_connector() -> Connector:
    """Opens simulated hosts whose state is in a file."""
    return SimulatedConnector(SimulatedFleet(SystemClock()))


def file_guests() -> Guests:
    """Talks to the guests of those hosts."""
    return SimulatedGuests(SimulatedFleet(SystemClock()))
