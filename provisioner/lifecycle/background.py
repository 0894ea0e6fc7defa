"""Calls that take long (a download, an upload, a start that pins memory) run beside the workers, never in them.

A job is named after what it makes, so that two VMs that need the same base image wait for one upload. Asking again is how its
result is fetched: a step calls `run` in every pass and gets Running until the job has ended. Whoever asked is looked at again
as soon as it has; passes on a period only show how far it is. Jobs live in this process only; after a crash the step observes
the world, finds the thing missing and starts it again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

from provisioner.model.metadata import Key

T = TypeVar("T")


@dataclass(slots=True)
class Meter:
    """How far a job is; written by the job, read by whoever waits."""

    done: int = 0
    total: int = 0

    def __call__(self, done: int, total: int) -> None:  # noqa: D102 - it is the Progress of the drivers
        self.done, self.total = done, total

    def __str__(self) -> str:
        mib = 1 << 20
        if self.total:
            return f"{self.done // mib} of {self.total // mib} MiB"
        return f"{self.done // mib} MiB" if self.done else ""


@dataclass(frozen=True, slots=True)
class Running:
    """The job has not ended."""

    meter: Meter


@dataclass(frozen=True, slots=True)
class Finished(Generic[T]):
    """The job has ended well."""

    result: T


class Background(Protocol):
    """Runs named jobs."""

    def attach(self, wake: Callable[[Key], None]) -> None:
        """Call this with the key of everybody who waits for a job, when it ends; in a thread of the job's, or where it ends."""
        ...

    def run(self, name: str, job: Callable[[Meter], T], *, waiter: Key | None = None) -> Running | Finished[T]:
        """Start the job if none of that name is under way, and say how it is; `waiter` is woken at its end.

        An ended job is forgotten as soon as its result was handed out. Raises what the job raised.
        """
        ...

    def is_under_way(self, name: str) -> bool:
        """Whether a job of that name was asked for and has not ended."""
        ...

    def forget(self, name: str) -> None:
        """Drop the result of an ended job: what it was to make was found made. A later `run` starts afresh."""
        ...

    def close(self) -> None:
        """Wait for nothing; jobs under way end with the process."""
        ...


class Inline:
    """Runs each job at once in the caller's thread: for tests and virtual time."""

    def attach(self, wake: Callable[[Key], None]) -> None:
        """Nobody waits."""

    def run(self, name: str, job: Callable[[Meter], T], *, waiter: Key | None = None) -> Running | Finished[T]:
        """Run it to its end."""
        return Finished(job(Meter()))

    def is_under_way(self, name: str) -> bool:
        """Never: whoever could ask had to wait for it."""
        return False

    def forget(self, name: str) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing to give up."""


@dataclass(slots=True)
class _Job:
    future: Future[object]
    meter: Meter = field(default_factory=Meter)
    waiters: set[Key] = field(default_factory=set)


class Threads:
    """Runs jobs in a bounded pool; a job beyond the bound waits its turn."""

    def __init__(self, *, workers: int = 16) -> None:
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="hikube-job")
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()
        self._wake: Callable[[Key], None] = lambda _: None

    def attach(self, wake: Callable[[Key], None]) -> None:
        """As the protocol says; one at a time hears: the one that attached last."""
        self._wake = wake

    def run(self, name: str, job: Callable[[Meter], T], *, waiter: Key | None = None) -> Running | Finished[T]:
        """As the protocol says."""
        with self._lock:
            known = self._jobs.get(name)
            if known is None:
                meter = Meter()
                known = self._jobs[name] = _Job(self._pool.submit(job, meter), meter)
            if not known.future.done():
                if waiter is not None and waiter not in known.waiters:
                    known.waiters.add(waiter)
                    known.future.add_done_callback(partial(self._ended, waiter))
                return Running(known.meter)
            del self._jobs[name]
        return Finished(known.future.result())  # type: ignore[arg-type]  # the name stands for the job's type

    def is_under_way(self, name: str) -> bool:
        """As the protocol says."""
        with self._lock:
            known = self._jobs.get(name)
        return known is not None and not known.future.done()

    def forget(self, name: str) -> None:
        """As the protocol says; a job under way goes on and is forgotten when it is asked about after its end."""
        with self._lock:
            known = self._jobs.get(name)
            if known is not None and known.future.done():
                del self._jobs[name]

    def close(self) -> None:
        """Give up what has not started; what runs ends with the process."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ended(self, waiter: Key, _future: Future[object]) -> None:
        self._wake(waiter)
