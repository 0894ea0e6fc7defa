"""A control loop: keys that wait for their turn, one thread that reconciles them, level-triggered.

A key that is enqueued while it waits is not queued twice. What could not be done is tried again, later each time. An error that
is none of the API server's ends the thread and fails the test: a stand-in that goes on after its own mistake proves nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from tests.kubernetes.kubevirt.api import Away, Conflict, Refused

CONFLICT_PAUSE_S = 0.01
RETRY_FIRST_S = 0.005
RETRY_MAX_S = 60.0
STOP_LIMIT_S = 30.0

KeyT = TypeVar("KeyT", bound=object)


class Again(Exception):
    """Not done, for a reason that is written down; to be tried again, later each time."""


class Loop(Generic[KeyT]):
    """Give it a function that looks at one key and says after how many seconds it wants to look again, or None."""

    def __init__(self, name: str, reconcile: Callable[[KeyT], float | None]) -> None:
        self._reconcile = reconcile
        self._due: dict[KeyT, float] = {}
        self._failures: dict[KeyT, int] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._paused = False
        self._thread = threading.Thread(target=self._run, name=f"kubevirt-{name}", daemon=True)

    def enqueue(self, key: KeyT, delay_s: float = 0.0) -> None:
        """Look at it after so long, or sooner if that was asked for already."""
        due = time.monotonic() + delay_s
        with self._changed:
            self._due[key] = min(due, self._due.get(key, due))
            self._changed.notify()

    def start(self) -> None:
        self._thread.start()

    def pause(self) -> None:
        """Nothing is begun until `resume`; what is being looked at now is finished."""
        with self._changed:
            self._paused = True

    def resume(self) -> None:
        with self._changed:
            self._paused = False
            self._changed.notify()

    def stop(self) -> None:
        """It will end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def join(self) -> None:
        if self._thread.ident is None:
            return  # it was never started
        self._thread.join(STOP_LIMIT_S)
        assert not self._thread.is_alive(), f"{self._thread.name} does not end"

    def _run(self) -> None:
        while (key := self._next()) is not None:
            self._visit(key)

    def _next(self) -> KeyT | None:
        with self._changed:
            while not self._stopping:
                key = min(self._due, key=self._due.__getitem__, default=None) if not self._paused else None
                wait_s = self._due[key] - time.monotonic() if key is not None else None
                if key is not None and wait_s is not None and wait_s <= 0:
                    del self._due[key]
                    return key
                self._changed.wait(wait_s)
            return None

    def _visit(self, key: KeyT) -> None:
        try:
            delay_s = self._reconcile(key)
        except Conflict:
            self.enqueue(key, CONFLICT_PAUSE_S)
        except (Again, Refused, Away):
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            self.enqueue(key, min(RETRY_FIRST_S * 2 ** (failures - 1), RETRY_MAX_S))
        else:
            self._failures.pop(key, None)
            if delay_s is not None:
                self.enqueue(key, delay_s)
