"""A bound on requests per second, with a reserve for bursts; whoever is over it waits a moment."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provisioner.model.clock import Clock


class Rate:
    """A bucket of tokens. Safe to use from several threads."""

    def __init__(self, clock: Clock, *, per_s: float, burst: int) -> None:
        self._clock = clock
        self._per_s = per_s
        self._burst = burst
        self._tokens = float(burst)
        self._filled_s = clock.monotonic_s()
        self._lock = threading.Lock()

    def take(self) -> None:
        """One token, waited for if there is none. Those who come at the same time wait for one after the other."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            self._tokens = min(self._burst, self._tokens + (now_s - self._filled_s) * self._per_s) - 1.0
            self._filled_s = now_s
            wait_s = -self._tokens / self._per_s
        if wait_s > 0:
            self._clock.sleep(wait_s)
