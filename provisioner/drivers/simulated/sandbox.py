"""The twin for people: simulated hosts that live in files and go by the wall clock, for whoever has no GPU host at hand.

Connectors and guests made here share nothing but the state files, so any number of them, in any number of processes, see the
same hosts: `simulated://l40s?state=/path.json`. What one process does to a host, the others hear within LOOK_S, as they would
from libvirt: a thread looks at the files of the hosts that somebody listens to, and ends with the connector.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from functools import cached_property

from provisioner.clocks import SystemClock
from provisioner.drivers.guest.protocol import Guests
from provisioner.drivers.hypervisor import Connector, Hypervisor
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.guests import SimulatedGuests
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.model.errors import HikubeError

LOOK_S = 0.5
"""From one look at the files to the next."""


def file_fleet() -> SimulatedFleet:
    """Handles on simulated hosts whose state is in a file: for the world's doing, and to look at."""
    return SimulatedFleet(SystemClock())


def file_connector() -> Connector:
    """Opens simulated hosts whose state is in a file."""
    return _Attentive(file_fleet())


def file_guests() -> Guests:
    """Talks to the guests of those hosts."""
    return SimulatedGuests(file_fleet())


class _Attentive(SimulatedConnector):
    """A connector whose hosts tell also what other processes did to them."""

    def __init__(self, fleet: SimulatedFleet) -> None:
        super().__init__(fleet)
        self._kept = fleet

    def connect(self, uri: str) -> Hypervisor:
        """See the protocol."""
        opened = super().connect(uri)
        _ = self._looking
        return opened

    @cached_property
    def _looking(self) -> threading.Thread:
        thread = threading.Thread(target=_look, args=(weakref.ref(self._kept),), name="hikube-sandbox", daemon=True)
        thread.start()
        return thread


def _look(kept: weakref.ref[SimulatedFleet]) -> None:
    """Look until the fleet is gone. A host that cannot be read is silent, as one that hangs: the next call to it says why."""
    pause = threading.Event()
    while not pause.wait(LOOK_S):
        fleet = kept()
        if fleet is None:
            return
        for host in fleet.hosts:
            with contextlib.suppress(HikubeError):
                host.notice()
        del fleet
