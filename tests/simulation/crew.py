"""Worker processes that live through seeds, one at a time each; bounded in number, in time and in how long a process is kept.

    parent ──seed──> worker ──Outcome──> parent
                       │ no answer: it died, or its time is over    ──> the seed has failed; a fresh worker takes its place

Workers begin from nothing (spawn), so that no state of the parent and no thread of it comes along.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait

from tests.simulation.runner import DOES_NOT_END, SEED_LIMIT_S, Finding, Outcome, live_through, quiet
from tests.simulation.scenario import Scenario
from tests.simulation.trial import Tally

DIED = "process-died"
SEEDS_OF_A_WORKER = 500
"""Then a fresh one takes over, so that nothing adds up in a night's run."""
WALL_FACTOR = 10.0
"""So many times its CPU time a seed may take on a machine that others use too, before its worker is ended from outside."""
LOOK_EVERY_S = 1.0
JOIN_S = 10.0

GARBAGE_AFTER = (2_000, 10, 50)
"""How seldom garbage is looked for: most of a world's objects live as long as it does. Seldomer costs more, in cold memory."""

Work = Callable[[Scenario, int], Outcome]
"""What a worker does with a seed; it must be picklable."""


class Worker:
    """One process."""

    def __init__(self, scenario: Scenario, *, work: Work) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, scenario, work), daemon=True)
        with _deaf_to_interrupts():
            self.process.start()
        theirs.close()
        self.seed: int | None = None
        self.since_s = 0.0
        self.served = 0

    def begin(self, seed: int) -> None:
        """Give it that seed."""
        self.seed, self.since_s = seed, time.monotonic()
        self.served += 1
        self.connection.send(seed)

    def end(self) -> None:
        """At once; a seed that it works on is lost."""
        self.connection.close()
        self.process.terminate()
        self.process.join(JOIN_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(JOIN_S)


class Crew:
    """As many workers as jobs. Use as a context: at its end no process is left.

    Args:
        limit_s: CPU time that a seed may take.
        work: What is done with a seed, if it is not to be lived through.
        wall_s: How long a worker may say nothing; as follows from `limit_s` unless told.
    """

    def __init__(
        self, scenario: Scenario, *, jobs: int, limit_s: float = SEED_LIMIT_S, work: Work | None = None, wall_s: float = 0.0
    ) -> None:
        self._scenario = scenario
        self._work = work or partial(live_through, limit_s=limit_s)
        self._wall_s = wall_s or limit_s * WALL_FACTOR
        self._jobs = jobs
        self._workers: list[Worker] = []

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def outcomes(self, seeds: Iterable[int]) -> Iterator[Outcome]:
        """Of each seed, as they end; a seed is taken from `seeds` only when somebody is free for it."""
        ahead = iter(seeds)
        for seed in ahead:
            self._free_worker().begin(seed)
            while all(worker.seed is not None for worker in self._workers) and len(self._workers) >= self._jobs:
                yield from self._ended()
        while any(worker.seed is not None for worker in self._workers):
            yield from self._ended()

    def _free_worker(self) -> Worker:
        for worker in tuple(self._workers):
            if worker.seed is None and worker.served >= SEEDS_OF_A_WORKER:
                self._dismiss(worker)
        free = [worker for worker in self._workers if worker.seed is None]
        if not free:
            free = [Worker(self._scenario, work=self._work)]
            self._workers.extend(free)
        return free[0]

    def _dismiss(self, worker: Worker) -> None:
        self._workers.remove(worker)
        worker.end()

    def _ended(self) -> Iterator[Outcome]:
        """What has ended by now, or within a moment."""
        busy = {worker.connection: worker for worker in self._workers if worker.seed is not None}
        for connection in wait(list(busy), timeout=LOOK_EVERY_S):
            assert isinstance(connection, Connection)
            yield self._outcome_of(busy.pop(connection))
        for worker in busy.values():
            if time.monotonic() - worker.since_s > self._wall_s:
                yield self._lost(worker, DOES_NOT_END, f"no answer after {self._wall_s:g} s")

    def _outcome_of(self, worker: Worker) -> Outcome:
        try:
            outcome = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join(JOIN_S)
            return self._lost(worker, DIED, f"its process ended with status {worker.process.exitcode}")
        assert isinstance(outcome, Outcome)
        worker.seed = None
        return outcome

    def _lost(self, worker: Worker, check: str, what: str) -> Outcome:
        assert worker.seed is not None
        self._dismiss(worker)
        return Outcome(worker.seed, Tally(seeds=1, violations=1), Finding(worker.seed, check, what))


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """What is started inside inherits it: Ctrl-C on the terminal is for the parent, which ends the others."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(connection: Connection, scenario: Scenario, work: Work) -> None:
    """A worker's life. When it is ended it leaves no directory behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    gc.freeze()  # what was imported stays
    gc.set_threshold(*GARBAGE_AFTER)
    with quiet(), contextlib.suppress(EOFError, OSError):  # the parent has gone
        while True:
            connection.send(work(scenario, connection.recv()))
