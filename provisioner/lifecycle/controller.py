"""The control loop: watches the store, queues keys, lets reconcilers work on them, survives what they throw.

    store.watch ──> which keys does this change concern? ──> WorkQueue ──> workers ──> Reconciler.reconcile(key)
         ^                                                       ^                          │ check again in s
         └──────────── status, claims, events ───────────────────┼──────────────────────────┘
    hosts ──> host_watch: a domain stopped, devices changed ─────┘

Level-triggered: a lost or repeated change costs a pass, nothing else; every object is looked at again on a period. A broad
except stands here and nowhere below: an unexpected error of one pass is recorded on its object and retried with back-off.
With `workers=0` everything runs in the caller's thread and time is only the clock's, for tests and simulation.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from provisioner.lifecycle.fleet import Known
from provisioner.lifecycle.held_back import HeldBack, is_held_by
from provisioner.lifecycle.measures import Measures, Outcome, Unmeasured
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.queue import WorkQueue, backoff_s
from provisioner.model import errors
from provisioner.model.clock import Clock
from provisioner.model.metadata import Key, Resource
from provisioner.store.protocol import Change, Event

log = logging.getLogger("hikube.controller")

WATCH_TIMEOUT_S = 0.5
RESYNC_S = 300.0
WORKER_WAIT_S = 0.5
ENDING_S = 60.0
"""For passes in flight to end, all together; a worker that hangs on a host is left behind then."""
CONFLICTS_IN_A_ROW = 5
"""More are told and slowed down like failures."""


class Reconciler(Protocol):
    """Owns one or more kinds."""

    kinds: tuple[type[Resource], ...]

    def reconcile(self, key: Key) -> float | None:
        """Bring the object one pass nearer to what is wanted; absent objects are done.

        Returns: seconds after which to look again, or None: only when something changes.
        Raises: HikubeError for what will be tried again with back-off.
        """
        ...

    def concerns(self, change: Change) -> tuple[Key, ...]:
        """Keys of its kinds that this change (of any kind) makes worth a pass."""
        ...

    def group_of(self, key: Key) -> str:
        """The host whose slowness this key shares; empty if none."""
        ...


class Controller:
    """Drives reconcilers until told to stop."""

    def __init__(
        self, ports: Ports, reconcilers: tuple[Reconciler, ...], *, workers: int = 8, measures: Measures | None = None
    ) -> None:
        self._ports = ports
        self._measures = measures or Unmeasured()
        self._reconcilers = reconcilers
        self._by_kind = {kind.KIND: each for each in reconcilers for kind in each.kinds}
        self._workers = workers
        self._failures: dict[Key, int] = {}
        self._held = HeldBack()
        self._stop = threading.Event()
        self._since: str | None = None
        self._resync_at = 0.0
        self.passes = 0
        """So far; a statistic."""
        self.queue = WorkQueue(ports.clock, group_of=lambda key: self._by_kind[key.kind].group_of(key))
        ports.host_watch.attach(self.queue)
        ports.background.attach(self.queue.add)

    def run_until(self, done: Callable[[], bool], *, timeout_s: float) -> bool:
        """Drive until `done()` or the time is up; says which."""
        deadline = self._ports.clock.monotonic_s() + timeout_s
        with _Crew(self, self._workers, clock=self._ports.clock):
            while not done():
                left_s = deadline - self._ports.clock.monotonic_s()
                if left_s <= 0 or self._stop.is_set():
                    return False
                self._turn(left_s)
        return True

    def run_forever(self, stop: threading.Event) -> None:
        """Drive until `stop` is set; looks at it at least once a second."""
        with _Crew(self, self._workers, clock=self._ports.clock):
            while not stop.is_set():
                self._turn(WATCH_TIMEOUT_S)

    def close(self) -> None:
        """Stop driving; a pass in flight ends first."""
        self._stop.set()
        self._ports.background.close()

    def known(self) -> Known:
        """Every host, claim and VM, as plans are made on them; nothing is read that has not changed.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        return self._ports.snapshots.known(self._ports.store, self._ports.tables)

    def turn(self) -> float:
        """Take in changes, and do one pass that is due, in the caller's thread: for whoever moves the clock himself.

        Returns: seconds until there is something to do; 0.0 if a pass was done.
        """
        self._take_in(0.0)
        key = self.queue.take()
        if key is None:
            listing_in_s = self._resync_at - self._ports.clock.monotonic_s()
            return max(0.0, min(self.queue.next_due_in_s(), max(WATCH_TIMEOUT_S, listing_in_s)))
        self.process(key)
        return 0.0

    def _turn(self, left_s: float) -> None:
        """Take in changes; without workers also do what is due, or let the clock run to what is due next."""
        if self._workers:
            self._take_in(min(WATCH_TIMEOUT_S, left_s))
        elif idle_s := self.turn():
            self._ports.clock.sleep(max(0.001, min(left_s, idle_s)))

    def _take_in(self, timeout_s: float) -> None:
        now_s = self._ports.clock.monotonic_s()
        try:
            if self._since is None or now_s >= self._resync_at:
                self._list_all()
                self._resync_at = now_s + RESYNC_S
            assert self._since is not None
            changes = self._ports.store.watch(self._since, timeout_s=timeout_s)
        except errors.Conflict:
            self._since = None  # the history was trimmed: list again
            self._measures.turned(heard=True)
            return
        except errors.StoreUnavailable as error:
            log.warning("store: %s", error)
            self._measures.turned(heard=False)
            self._ports.clock.sleep(WATCH_TIMEOUT_S)
            return
        self._measures.turned(heard=True)
        for change in changes:
            self._since = change.version
            for reconciler in self._reconcilers:
                for key in reconciler.concerns(change):
                    self.queue.add(key)

    def _list_all(self) -> None:
        """Queue every object; the oldest version seen is where watching goes on, so that nothing is missed.

        Raises: StoreUnavailable in the middle: what was not listed is listed in the next turn.
        """
        for reconciler in self._reconcilers:
            for kind in reconciler.kinds:
                listing = self._ports.store.list(kind)
                if self._since is None:
                    self._since = listing.version
                for resource in listing.items:
                    self.queue.add(resource.key)
        self._measures.listed()

    def process(self, key: Key) -> None:
        """One pass over one key that was taken from the queue."""
        self.passes += 1
        began = self._measures.pass_begins()
        outcome, again_s = Outcome.FAILED, None
        try:
            outcome, again_s = self._reconciled(key)
        finally:
            self.queue.done(key)
            self._measures.pass_ends(key, outcome, began)
        if again_s is not None:
            self.queue.add(key, after_s=again_s)

    def _reconciled(self, key: Key) -> tuple[Outcome, float | None]:
        """How the pass ended, and after how many seconds the next one is due; None: when something changes."""
        try:
            ended = self._passed(key)
        except errors.HikubeError as error:
            log.info("%s waits: %s", key, error)
            return Outcome.FAILED, self._held.hold(key)
        for each, after_s in self._held.got_through(key):
            self.queue.add(each, after_s=after_s)
        return ended

    def _passed(self, key: Key) -> tuple[Outcome, float | None]:
        """As `_reconciled`. Raises StoreUnavailable, ControllerBusy: every pass would end so."""
        try:
            again_s = self._by_kind[key.kind].reconcile(key)
            self._failures.pop(key, None)
        except errors.Conflict as error:
            return self._overtaken(key, error)
        except (errors.NotFound, errors.InvalidInput) as error:
            is_gone = str(key) in (error.context.get("key"), error.context.get("refused"))  # or told to its user by the store
            return (Outcome.DONE, None) if is_gone else self._failed(key, error)
        except errors.HikubeError as error:
            if is_held_by(error):
                raise
            return self._failed(key, error)
        except Exception as error:
            log.exception("a pass over %s broke", key)
            return self._failed(key, error)
        return Outcome.DONE if again_s is None else Outcome.AGAIN, again_s

    def _overtaken(self, key: Key, error: errors.Conflict) -> tuple[Outcome, float]:
        """Somebody else wrote first: start at once from what is there, but never in a loop that does nothing else."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        if failures > CONFLICTS_IN_A_ROW:
            return self._failed(key, error)
        return Outcome.CONFLICT, 0.0

    def _failed(self, key: Key, error: Exception) -> tuple[Outcome, float]:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        log.warning("%s: %s", key, error)
        try:
            self._ports.store.record(Event(key, "Warning", type(error).__name__, str(error)[:1000]))
        except errors.HikubeError as second:
            log.warning("%s: its failure could not be recorded: %s", key, second)
        return Outcome.FAILED, backoff_s(failures)

    def work(self, quit_: threading.Event) -> None:
        """A worker's life: take, process, until told to quit."""
        while not quit_.is_set():
            key = self.queue.wait_and_take(WORKER_WAIT_S)
            if key is not None:
                self.process(key)


class _Crew:
    """Worker threads for the length of a `with`; joined at its end, so that no pass outlives the loop."""

    def __init__(self, controller: Controller, size: int, *, clock: Clock) -> None:
        self._quit = threading.Event()
        self._queue = controller.queue
        self._clock = clock
        self._threads = [
            threading.Thread(target=controller.work, args=(self._quit,), name=f"hikube-worker-{n}", daemon=True)
            for n in range(size)
        ]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._quit.set()
        self._queue.wake_all()
        ends_s = self._clock.monotonic_s() + ENDING_S
        for thread in self._threads:
            thread.join(timeout=max(0.0, ends_s - self._clock.monotonic_s()))
