"""Background jobs in virtual time: they end some seconds after they were asked for, whether or not anybody still asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from provisioner.clocks import ManualClock
from provisioner.lifecycle.background import Finished, Meter, Running
from provisioner.model.errors import HikubeError
from provisioner.model.metadata import Key

LONGEST_S = 8.0


@dataclass
class _Job:
    work: Callable[[Meter], Any]
    due_s: float
    meter: Meter = field(default_factory=Meter)
    waiters: set[Key] = field(default_factory=set)
    has_begun: bool = False
    has_ended: bool = False
    result: Any = None
    error: HikubeError | None = None


class Jobs:
    """A Background without threads. `tick` ends the jobs that are due.

    Args:
        at_once: How many of them end in the moment in which they were asked for, from 0 to 1.
    """

    def __init__(self, clock: ManualClock, random: Random, *, at_once: float = 0.5) -> None:
        self._at_once = at_once
        self._clock = clock
        self._random = random
        self._jobs: dict[str, _Job] = {}
        self._wake: Callable[[Key], None] = lambda _: None

    def attach(self, wake: Callable[[Key], None]) -> None:
        """See Background."""
        self._wake = wake

    def run(self, name: str, job: Callable[[Meter], Any], *, waiter: Key | None = None) -> Running | Finished[Any]:
        """See Background."""
        known = self._jobs.get(name)
        if known is None:
            takes_s = 0.0 if self._random.random() < self._at_once else self._random.uniform(0.5, LONGEST_S)
            known = self._jobs[name] = _Job(job, self._clock.monotonic_s() + takes_s)
        self._end_if_due(known)
        if not known.has_ended:
            known.waiters |= {waiter} if waiter is not None else set()
            return Running(known.meter)
        self._jobs.pop(name, None)
        if known.error is not None:
            raise known.error
        return Finished(known.result)

    def is_under_way(self, name: str) -> bool:
        """See Background."""
        known = self._jobs.get(name)
        if known is None:
            return False
        self._end_if_due(known)
        return not known.has_ended

    def forget(self, name: str) -> None:
        """See Background."""
        if name in self._jobs and self._jobs[name].has_ended:
            del self._jobs[name]

    def close(self) -> None:
        """See Background."""
        self._jobs.clear()

    @property
    def next_due_s(self) -> float:
        """When the next job ends, by the monotonic clock; infinite if none is under way."""
        return min((job.due_s for job in self._jobs.values() if not job.has_begun), default=float("inf"))

    @property
    def under_way(self) -> tuple[Callable[[Meter], Any], ...]:
        """What has begun and not ended, as it is when a process dies."""
        return tuple(job.work for job in self._jobs.values() if not job.has_ended)

    def tick(self) -> None:
        """End what is due. An exception that is no HikubeError is a crash, and passes."""
        for job in tuple(self._jobs.values()):
            self._end_if_due(job)

    def _end_if_due(self, job: _Job) -> None:
        if job.has_begun or self._clock.monotonic_s() < job.due_s:
            return
        job.has_begun = True  # another pass may ask for it in the middle of it
        try:
            job.result = job.work(job.meter)
        except HikubeError as error:
            job.error = error
        job.has_ended = True
        for waiter in sorted(job.waiters, key=str):
            self._wake(waiter)
