"""One seed from its beginning to its end: the plan befalls the fleet, trouble stops, everything comes right, everything goes.

    begin ──> storm (the plan's time) ──> calm: trouble stops ──> all is right, and stays so ──> all is deleted, nothing is left
        safety is checked after every event, all the way; liveness at the last two

A trial of a part of a plan is the same trial with fewer happenings: what is left out did not happen.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.simulation.building import build_hosts, build_quotas
from tests.simulation.checks import Check
from tests.simulation.checks.all import safety_checks
from tests.simulation.checks.liveness import Ending
from tests.simulation.checks.nothing_left import drivers_now
from tests.simulation.happening import Happening, plan
from tests.simulation.happenings.all import ACTS
from tests.simulation.scenario import Scenario
from tests.simulation.sight import Sight
from tests.simulation.trace import Trace
from tests.simulation.universe import Universe
from tests.simulation.violation import Violation


@dataclass(slots=True)
class Tally:
    """What was done; adds up over seeds."""

    seeds: int = 0
    events: int = 0
    """Passes of controllers and happenings."""
    faults: int = 0
    """Calls that failed as staged, crashes, and happenings that break something."""
    checks: int = 0
    """How often a check was asked."""
    violations: int = 0
    virtual_s: float = 0.0

    def add(self, other: Tally) -> None:
        """Add what another one counted."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class Trial:
    """One seed with one plan; `run` once."""

    scenario: Scenario
    seed: int
    happenings: Sequence[Happening] | None = None
    """A part of the seed's plan; None: all of it."""
    trace: Trace | None = None
    """Told what happens; whoever hands it in ends it."""
    stops_s: float = float("inf")
    """Where it ends when it has not failed by then, for whoever looks for a violation that comes earlier."""
    tally: Tally = field(default_factory=Tally)
    told: dict[int, str] = field(default_factory=dict)
    """Numbers of the happenings that have struck, and what each said that it did."""

    def run(self) -> Violation | None:
        """The first thing that was wrong, or None."""
        with tempfile.TemporaryDirectory(prefix="hikube-simulation-") as directory:
            universe = Universe(self.scenario, self.seed, directory=Path(directory))
            try:
                self._live(universe)
            except Violation as violation:
                self.tally.violations += 1
                return violation
            finally:
                self._count(universe)
        return None

    def _live(self, universe: Universe) -> None:
        looker = Looker(universe, self.tally)
        universe.on_event = looker.look
        universe.strike = lambda happening: self._strike(universe, happening)
        if self.trace is not None:
            self.trace.follow(universe)
        build_hosts(universe)
        build_quotas(universe)
        drivers = drivers_now(looker.sight)
        universe.start_process()
        universe.follow(plan(self.scenario, self.seed) if self.happenings is None else self.happenings)
        universe.live(min(self.stops_s, self.scenario.duration_s))
        if self.stops_s < self.scenario.duration_s:
            return
        Ending(universe, looker.sight, self.tally, drivers=drivers).run()

    def _strike(self, universe: Universe, happening: Happening) -> None:
        self.told[happening.number] = ""
        told = self.told[happening.number] = ACTS[happening.name](universe, Random(happening.seed))
        if self.trace is not None:
            self.trace.strike(happening, told)

    def _count(self, universe: Universe) -> None:
        self.tally.seeds += 1
        self.tally.events += universe.passes + len(self.told)
        self.tally.faults += universe.gate.injected + universe.crashes + universe.troubles
        self.tally.virtual_s += universe.clock.monotonic_s()


class Looker:
    """Asks every safety check that watches what is new, after every event."""

    def __init__(self, universe: Universe, tally: Tally) -> None:
        self.sight = Sight(universe)
        self._tally = tally
        self._checks = safety_checks()
        self._by_news: dict[frozenset[str], tuple[Check, ...]] = {}

    def look(self, what: str) -> None:
        """Raises Violation: the first thing that is wrong."""
        if not self.sight.refresh(all_hosts=what != "pass"):
            return
        for check in self._concerned(self.sight.news):
            self._tally.checks += 1
            for wrong in check.look(self.sight):
                raise Violation(check.name, wrong)

    def _concerned(self, news: frozenset[str]) -> tuple[Check, ...]:
        if news not in self._by_news:
            self._by_news[news] = tuple(check for check in self._checks if check.watches & news)
        return self._by_news[news]
