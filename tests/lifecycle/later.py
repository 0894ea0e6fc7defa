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
    has_ended: bool = False
    result: Any = None
    error: HikubeError | None = None


class Later:
    """A Background without threads. `tick` ends the jobs that are due."""

    def __init__(self, clock: ManualClock, random: Random, *, always_takes_time: bool = False) -> None:
        self._always_takes_time = always_takes_time
        self._clock = clock
        self._random = random
        self._jobs: dict[str, _Job] = {}
        self._wake: Callable[[Key], None] = lambda _: None

    def attach(self, wake: Callable[[Key], None]) -> None:
        self._wake = wake

    def run(self, name: str, job: Callable[[Meter], Any], *, waiter: Key | None = None) -> Running | Finished[Any]:
        self.tick()
        known = self._jobs.get(name)
        if known is None:
            takes_s = self._random.uniform(0.5, LONGEST_S) * (self._always_takes_time or self._random.random() < 0.5)
            known = self._jobs[name] = _Job(job, self._clock.monotonic_s() + takes_s)
            self.tick()
        if not known.has_ended:
            known.waiters |= {waiter} if waiter is not None else set()
            return Running(known.meter)
        del self._jobs[name]
        if known.error is not None:
            raise known.error
        return Finished(known.result)

    def is_under_way(self, name: str) -> bool:
        self.tick()
        known = self._jobs.get(name)
        return known is not None and not known.has_ended

    def forget(self, name: str) -> None:
        if name in self._jobs and self._jobs[name].has_ended:
            del self._jobs[name]

    def close(self) -> None:
        self._jobs.clear()

    def next_due_s(self) -> float:
        """When the next job ends, by the monotonic clock."""
        return min((job.due_s for job in self._jobs.values() if not job.has_ended), default=float("inf"))

    def tick(self) -> None:
        """End what is due. An exception that is no HikubeError is a crash, and passes."""
        for job in tuple(self._jobs.values()):
            if job.has_ended or self._clock.monotonic_s() < job.due_s:
                continue
            job.has_ended = True
            try:
                job.result = job.work(job.meter)
            except HikubeError as error:
                job.error = error
            for waiter in sorted(job.waiters, key=str):
                self._wake(waiter)
