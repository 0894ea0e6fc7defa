"""Virtual time in which background jobs run side by side, as they do in threads: a thousand probes of 2 s take 2 s, not 2,000.

A job is run at once, in a time of its own: what it sleeps is counted and moves nobody else's clock. Its result is kept back
until the clock has come to its end. What a job does to the world it does at its beginning, which is early, and in one thread,
which is why its figures can be compared from run to run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from provisioner.clocks import ManualClock
from provisioner.lifecycle.background import Finished, Meter, Running
from provisioner.model.errors import HikubeError
from provisioner.model.metadata import Key

T = TypeVar("T")


class OwnTimeClock(ManualClock):
    """A clock that tells when somebody is due while it moves, and on which a job can sleep by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._aside_s: float | None = None
        self._alarms: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def now_s(self) -> float:
        """For a job: with what it has slept."""
        return super().now_s() + (self._aside_s or 0.0)

    def monotonic_s(self) -> float:
        """For a job: with what it has slept."""
        return super().monotonic_s() + (self._aside_s or 0.0)

    def sleep(self, duration_s: float) -> None:
        """Stops at the first alarm on the way: whoever sleeps looks again."""
        if self._aside_s is not None:
            self._aside_s += max(0.0, duration_s)
            return
        until_s = self.monotonic_s() + max(0.0, duration_s)
        first_s = self._alarms[0][0] if self._alarms else until_s
        super().sleep(min(until_s, first_s) - self.monotonic_s())
        while self._alarms and self._alarms[0][0] <= self.monotonic_s():
            heapq.heappop(self._alarms)[2]()

    def aside(self, work: Callable[[], None]) -> float:
        """Do the work in a time of its own, and say how long it took."""
        self._aside_s = 0.0
        try:
            work()
            return self._aside_s
        finally:
            self._aside_s = None

    def call_at(self, when_s: float, alarm: Callable[[], None]) -> None:
        """Call it once the clock has come there."""
        heapq.heappush(self._alarms, (when_s, next(self._order), alarm))


@dataclass(slots=True)
class _Job:
    due_s: float = 0.0
    waiters: set[Key] = field(default_factory=set)
    result: Any = None
    error: HikubeError | None = None


class SideBySide:
    """See provisioner.lifecycle.background.Background."""

    def __init__(self, clock: OwnTimeClock) -> None:
        self._clock = clock
        self._jobs: dict[str, _Job] = {}
        self._wake: Callable[[Key], None] = lambda _: None

    def attach(self, wake: Callable[[Key], None]) -> None:
        """As the protocol says."""
        self._wake = wake

    def run(self, name: str, job: Callable[[Meter], T], *, waiter: Key | None = None) -> Running | Finished[T]:
        """As the protocol says."""
        known = self._jobs.get(name)
        if known is None:
            known = self._jobs[name] = self._begun(job)
        if known.due_s > self._clock.monotonic_s():
            known.waiters |= {waiter} if waiter is not None else set()
            return Running(Meter())
        del self._jobs[name]
        if known.error is not None:
            raise known.error
        return Finished(known.result)

    def is_under_way(self, name: str) -> bool:
        """As the protocol says."""
        known = self._jobs.get(name)
        return known is not None and known.due_s > self._clock.monotonic_s()

    def forget(self, name: str) -> None:
        """As the protocol says."""
        if not self.is_under_way(name):
            self._jobs.pop(name, None)

    def close(self) -> None:
        """As the protocol says."""
        self._jobs.clear()

    def _begun(self, work: Callable[[Meter], Any]) -> _Job:
        job = _Job()

        def done_aside() -> None:
            try:
                job.result = work(Meter())
            except HikubeError as error:
                job.error = error

        job.due_s = self._clock.monotonic_s() + self._clock.aside(done_aside)
        self._clock.call_at(job.due_s, lambda: self._ended(job))
        return job

    def _ended(self, job: _Job) -> None:
        for waiter in sorted(job.waiters):
            self._wake(waiter)
