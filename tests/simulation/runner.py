"""Many seeds: each is lived through in a worker process, within a limit of time; what was done adds up, what failed is kept.

    seeds ──> Crew: worker processes, one seed at a time each ──> Outcome, in the order in which they end ──> Report
                     │ uses up its CPU time, dies, says nothing any more: a violation of its seed, and a fresh worker

A seed's outcome depends on nothing but the scenario and the seed; only the order of the outcomes is the machine's.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType

from tests.simulation.happening import Happening
from tests.simulation.scenario import Scenario
from tests.simulation.trace import Trace
from tests.simulation.trial import Tally, Trial
from tests.simulation.violation import Violation

SEED_LIMIT_S = 120.0
"""CPU time that one seed may take."""
DOES_NOT_END = "does-not-end"
BREAKS = "breaks"
"""An exception that nobody expected came out of the simulation itself."""
FRAMES_TOLD = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """A seed that failed."""

    seed: int
    check: str
    what: str
    told: tuple[tuple[int, str], ...] = ()
    """Numbers of the happenings that had struck by then, and what each said that it did."""
    at_s: float = 0.0
    """When it was found, since the beginning, by the world's clock."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one seed."""

    seed: int
    tally: Tally
    finding: Finding | None = None


@dataclass(slots=True)
class Report:
    """Of all that were lived through so far."""

    tally: Tally = field(default_factory=Tally)
    findings: list[Finding] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count it in."""
        self.tally.add(outcome.tally)
        if outcome.finding is not None:
            self.findings.append(outcome.finding)
            self.findings.sort(key=lambda finding: finding.seed)


def live_through(
    scenario: Scenario,
    seed: int,
    *,
    happenings: Sequence[Happening] | None = None,
    trace: Trace | None = None,
    limit_s: float = SEED_LIMIT_S,
    stops_s: float = float("inf"),
) -> Outcome:
    """One seed, or a part of its plan, in this process. The limit of CPU time holds in a main thread only.

    Args:
        stops_s: See Trial; virtual time.
    """
    trial = Trial(scenario, seed, happenings, trace=trace, stops_s=stops_s)
    try:
        with _at_most(limit_s):
            violation = trial.run()
    except Violation as late:  # it ran out of time outside of what the trial guards
        violation = late
    except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to this seed, and the others go on
        violation = Violation(BREAKS, _told(error))
    if trace is not None:
        trace.end(violation)
    if violation is None:
        return Outcome(seed, trial.tally)
    trial.tally.seeds, trial.tally.violations = 1, 1
    told = tuple(trial.told.items())
    return Outcome(seed, trial.tally, Finding(seed, violation.check, violation.what, told, at_s=trial.tally.virtual_s))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What production code logs is not wanted, and costs time."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _at_most(limit_s: float) -> Iterator[None]:
    """Raise Violation in the middle of whatever runs when it has used up that much CPU time."""

    def too_long(_signal: int, frame: FrameType | None) -> None:
        where = f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_lineno}" if frame else "nowhere"
        raise Violation(DOES_NOT_END, f"after {limit_s:g} s of CPU time it is still going on, at {where}")

    try:
        before = signal.signal(signal.SIGVTALRM, too_long)
    except ValueError:  # no main thread
        yield
        return
    signal.setitimer(signal.ITIMER_VIRTUAL, limit_s, limit_s)  # again and again: where garbage is collected it goes unheard
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


def _told(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_TOLD:]
    path = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{type(error).__name__}: {error} ({path})"
