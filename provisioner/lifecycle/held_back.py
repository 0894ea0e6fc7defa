"""Passes that found no store, or no right to write: one is tried again, and all the others when it gets through.

    no store, leadership in doubt ──> held: the first is tried every PROBE_S ──> a pass gets through ──> all come back at once

A back-off for each object would be right if each had a trouble of its own; here all have the same, and when it is over they
must not sleep on for as long as it took. Whoever comes back again and again, while others get through, has a trouble of his
own, and waits for it: longer every time, up to BACK_MOST_S. Safe to use from several threads.
"""

from __future__ import annotations

import threading

from provisioner.lifecycle.queue import backoff_s
from provisioner.model.errors import ControllerBusy, HikubeError, SecretsLocked, StoreUnavailable
from provisioner.model.metadata import Key

PROBE_S = 2.0
BACK_MOST_S = 5.0


def is_held_by(error: HikubeError) -> bool:
    """Whether it says nothing about the object: every other pass would end so too."""
    return isinstance(error, ControllerBusy | StoreUnavailable) and not isinstance(error, SecretsLocked)


class HeldBack:
    """The keys that wait."""

    def __init__(self) -> None:
        self._times: dict[Key, int] = {}
        """How often in a row each was held back."""
        self._waiting: dict[Key, None] = {}
        self._probe: Key | None = None
        self._lock = threading.Lock()

    def hold(self, key: Key) -> float | None:
        """Seconds after which to try it again; None: it comes back with the others."""
        with self._lock:
            self._times[key] = self._times.get(key, 0) + 1
            if self._probe in (None, key):
                self._probe = key
                return PROBE_S
            self._waiting[key] = None
            return None

    def got_through(self, key: Key) -> tuple[tuple[Key, float], ...]:
        """A pass reached the store, whatever came of it: those that come back, and after how many seconds."""
        if self._probe is None and not self._times:
            return ()  # as ever
        with self._lock:
            self._times.pop(key, None)
            self._probe = None
            back, self._waiting = tuple(self._waiting), {}
            return tuple((each, min(BACK_MOST_S, backoff_s(self._times.get(each, 1)))) for each in back if each != key)
