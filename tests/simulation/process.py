"""One controller process of a simulated hikube: what it has in memory, its clock, its connections; and how it dies.

    Process(…) ──turn──> turn ──> …       die(): what it remembered is gone, and no call of it has an effect any more,
                                          except perhaps one that was on its way to a host

Several of them share store and hosts, as after a lease was lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from random import Random

from provisioner.clocks import ManualClock, SeededIdentifiers
from provisioner.drivers.guest.protocol import Guests
from provisioner.drivers.images.protocol import Images
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.lifecycle.assembly import controller_of
from provisioner.lifecycle.controller import Controller
from provisioner.lifecycle.ports import Ports
from provisioner.model.tables import Tables
from provisioner.store.memory import MemoryStore
from tests.background_jobs import Jobs
from tests.simulation.moments import Gate
from tests.simulation.store_door import StoreDoor


class Crash(BaseException):
    """A process is gone: nothing below may catch it."""

    def __init__(self, process: Process | None = None) -> None:
        super().__init__("crash")
        self.process = process


class SkewedClock:
    """The clock of the machine that a controller runs on: its time of day may jump, its monotonic time stands while it sleeps.

    As Linux counts it (CLOCK_MONOTONIC leaves suspension out): what was due in ten seconds is due ten seconds after it wakes.
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.skew_s = 0.0
        self.slept_s = 0.0

    def now_s(self) -> float:
        """Seconds since the epoch, as that machine believes."""
        return self._clock.now_s() + self.skew_s

    def monotonic_s(self) -> float:
        """Seconds that this machine was awake."""
        return self._clock.monotonic_s() - self.slept_s

    def sleep(self, duration_s: float) -> None:
        """Let the world's time pass."""
        self._clock.sleep(duration_s)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all processes share."""

    clock: ManualClock
    store: MemoryStore
    fleet: SimulatedFleet
    gate: Gate
    guests: Guests
    images: Images
    tables: Tables
    random: Random
    """Of the order in which things happen to come."""
    numbers: count[int] = field(default_factory=lambda: count(1))

    def ports(self) -> Ports:
        """For a command: nothing between it and store and hosts, and jobs are done at once."""
        return Ports(
            store=self.store,
            connector=SimulatedConnector(self.fleet),
            guests=self.guests,
            images=self.images,
            clock=self.clock,
            identifiers=SeededIdentifiers(self.random.getrandbits(32)),
            tables=self.tables,
        )


class Process:
    """A controller over ports of its own."""

    def __init__(self, around: Surroundings) -> None:
        self.number = next(around.numbers)
        self.clock = SkewedClock(around.clock)
        self.store = StoreDoor(around.store, around.gate)
        self.jobs = Jobs(around.clock, around.random)
        self.is_dead = False
        self.resumes_at_s = 0.0
        """Until then, by the monotonic clock, it does not run: it was stopped, or its machine was."""
        self._connector = SimulatedConnector(around.fleet)
        self.ports = Ports(
            store=self.store,
            connector=self._connector,
            guests=around.guests,
            images=around.images,
            clock=self.clock,
            identifiers=SeededIdentifiers(around.random.getrandbits(32)),
            tables=around.tables,
            background=self.jobs,
        )
        self.controller: Controller = controller_of(self.ports, workers=0)

    def turn(self) -> float:
        """End the jobs that are due, then one turn of the controller; see there. May raise Crash."""
        self.jobs.tick()
        return self.controller.turn()

    @property
    def next_job_s(self) -> float:
        """When a background job ends, by the monotonic clock."""
        return self.jobs.next_due_s

    def other_pass(self) -> bool:
        """What another worker of it does meanwhile: one pass over another key that is due; False if there is none."""
        key = self.controller.queue.take()
        if key is not None:
            self.controller.process(key)
        return key is not None

    def die(self) -> None:
        """It is gone; what it asked of a host may still be on its way."""
        self.is_dead = True

    def hang_up(self) -> None:
        """Its connections are gone too."""
        self._connector.hang_up()
