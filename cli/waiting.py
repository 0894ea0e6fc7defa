"""Waiting for resources: drives the control loop if nobody else does, watches the store otherwise, ends early on failure.

    lock free  -> this process runs the control loop until the wait is over
    lock taken -> watch what the other process does; if it goes away in the middle, take over

A cluster whose API server is away for a while is waited for, within the time that the wait has.

Ctrl-C and SIGTERM detach: nothing is undone, and the way to come back is printed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from cli.heard_steps import HeardSteps
from cli.logs import log_to_file
from cli.output import say
from cli.progress import Progress
from cli.session import Session
from cli.store_choice import is_kubernetes
from provisioner.model.errors import StillPending, StoreUnavailable
from provisioner.model.metadata import Key, Resource, find_condition

if TYPE_CHECKING:
    from cli.cluster import WatchedLease
    from provisioner.store.sqlite import ControllerLock

WATCH_S = 1.0
DETACHING = b"\ndetaching: what is in flight ends first; once more to quit at once\n"
INTERRUPTED_EXIT_CODE = 130

Check = Callable[[Resource | None], bool]
"""Whether the wait for this object is over; raises HikubeError if it can only end badly."""


@dataclass(frozen=True, slots=True)
class Target:
    """One object that is waited for."""

    key: Key
    is_over: Check
    wanted: str
    """What it is waited for, as the end of `… is not`: `Ready`."""
    news: Callable[[Resource], Sequence[str]] | None = None
    """Lines of progress that were not given out yet, where they are not about the steps of the object."""
    way_back: str = ""
    """The command that waits for the same, where it is not `hikube wait`."""


class Wait:
    """One wait for some targets."""

    def __init__(self, session: Session, targets: Sequence[Target], *, timeout_s: float) -> None:
        self._session = session
        self._targets = list(targets)
        self._timeout_s = timeout_s
        claims = [target.key for target in targets if target.key.kind == "GPUClaim"]  # they tell of the VM's own GPUs
        wanted = [target.key for target in targets if target.key not in claims]
        self._progress = Progress(now_s=lambda: session.now_s, several=len(wanted) > 1, several_gpus=len(claims) > 1)
        self._heard = HeardSteps(wanted, claims=claims)
        self._interrupted = False
        self._told = False
        """Who does the work."""
        self._away = ""
        """Why the store cannot be asked, while it cannot."""

    def run(self) -> None:
        """Wait until every target is over.

        Raises:
            StillPending: the time is up.
            HikubeError: whatever a target's check raises, as soon as it does.
            typer.Exit: 130 after Ctrl-C or SIGTERM; the way back was printed.
        """
        for target in self._targets:
            if (resource := self._session.find(target.key)) is not None:
                self._progress.begin_with(resource)
        with self._detaching_on_signals():
            try:
                is_over = self._over() or self._drive_or_watch()
            finally:
                self._progress.end()
        if self._interrupted:
            self._say_how_to_come_back()
            raise typer.Exit(INTERRUPTED_EXIT_CODE)
        if not is_over:
            raise self._still_pending()

    def _over(self) -> bool:
        """Look at every target once, show its progress, and drop those that are over."""
        for line in self._heard.take():
            self._progress.line(line)
        for target in list(self._targets):
            resource = self._session.find(target.key)
            if resource is not None:
                self._show(target, resource)
            elif target.news is None:
                self._progress.show_gone(target.key, self._heard.finished(target.key))
            if target.is_over(resource):
                self._targets.remove(target)
        return not self._targets

    def _show(self, target: Target, resource: Resource) -> None:
        if target.news is None:
            self._progress.show(resource)
            return
        for line in target.news(resource):
            self._progress.line(line)

    def _drive_or_watch(self) -> bool:
        clock = self._session.clock
        deadline = clock.monotonic_s() + self._timeout_s
        lock = self._session.controller_lock()
        while True:
            try:
                if self._stops() or clock.monotonic_s() >= deadline:
                    break
                if lock.try_acquire():
                    try:
                        self._drive(deadline - clock.monotonic_s())
                    finally:
                        lock.release()
                    break
                self._watch(lock, timeout_s=min(WATCH_S, max(0.0, deadline - clock.monotonic_s())))
            except StoreUnavailable as error:
                if not self._waits_for_store(error, left_s=deadline - clock.monotonic_s()):
                    break
        return not self._targets

    def _watch(self, lock: ControllerLock | WatchedLease, *, timeout_s: float) -> None:
        latest = self._latest()
        self._away = ""
        if not self._told:
            self._told = True
            self._progress.line(f"  ({_who_works(lock.holder())}; watching)")
        self._session.store.watch(latest, timeout_s=timeout_s)

    def _waits_for_store(self, error: StoreUnavailable, *, left_s: float) -> bool:
        """A moment, if there is time left; False if there is none. Raises the error: it is a file, which does not come back."""
        if not is_kubernetes():
            raise error
        if not self._away:
            self._progress.line(f"  ({error.what}; waiting for it)")
        self._away = error.what
        if left_s > 0 and not self._interrupted:
            self._session.clock.sleep(min(WATCH_S, left_s))
            return True
        return False

    def _drive(self, timeout_s: float) -> None:
        from provisioner.lifecycle.assembly import build_controller

        session = self._session
        controller = build_controller(
            session.store, cache_dir=session.cache_dir, tables=session.tables, observer=self._heard, workers=8
        )
        with log_to_file():
            try:
                controller.run_until(self._stops, timeout_s=timeout_s)
            finally:
                controller.close()

    def _stops(self) -> bool:
        return self._interrupted or self._over()

    def _latest(self) -> str:
        from provisioner.model.gpu_claim import GPUClaim

        return self._session.store.list(GPUClaim).version

    @contextmanager
    def _detaching_on_signals(self) -> Iterator[None]:
        before: dict[int, Any] = {}

        def detach(number: int, _frame: Any) -> None:
            self._interrupted = True
            signal.signal(number, before[number])  # a second one ends the process at once
            os.write(2, DETACHING)  # a handler may interrupt a write of our own: no buffered one here

        try:
            for number in (int(signal.SIGINT), int(signal.SIGTERM)):
                before[number] = signal.signal(number, detach)
        except ValueError:
            pass  # not the main thread: the caller handles signals
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _still_pending(self) -> StillPending:
        target = self._targets[0]
        state = self._away or _present_state(self._session.find(target.key))
        others = f" (and {len(self._targets) - 1} more)" if len(self._targets) > 1 else ""
        return StillPending(
            f"{target.key} is not {target.wanted} after {self._timeout_s:.0f} s{others}",
            why=state,
            hint=f"`{come_back(target)}` goes on waiting; `hikube describe {word(target.key)}` shows more",
            context={"pending": [str(each.key) for each in self._targets]},
        )

    def _say_how_to_come_back(self) -> None:
        say("Detached. Nothing was undone; what was accepted goes on while a control loop runs.")
        for target in self._targets:
            say(f"  come back:  {come_back(target)}")
            if target.wanted != "deleted" and not target.way_back:
                say(f"  cancel:     hikube delete {word(target.key)}")


def word(key: Key) -> str:
    """`virtualmachine/demo -n team`, as commands take it."""
    namespace = f" -n {key.namespace}" if key.namespace not in ("", "default") else ""
    return f"{key.kind.lower()}/{key.name}{namespace}"


def come_back(target: Target) -> str:
    """The command that waits for the same."""
    if target.way_back:
        return target.way_back
    goal = "delete" if target.wanted == "deleted" else f"condition={target.wanted}"
    if goal == "condition=Stopped":
        goal = "phase=Stopped"
    return f"hikube wait {word(target.key)} --for={goal}"


def _present_state(resource: Resource | None) -> str:
    if resource is None:
        return "it does not exist"
    ready = find_condition(resource.status.conditions, "Ready")
    return f"{ready.reason}: {ready.message}" if ready is not None else "no control loop has looked at it yet"


def _who_works(holder: Any) -> str:
    return f"the control loop runs in {holder}" if holder is not None else "no control loop runs at this moment"
