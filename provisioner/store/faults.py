"""Faults on order: makes the next call of a method fail, for tests and simulations of what a store may do to its caller."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from provisioner.model.errors import HikubeError

METHODS = frozenset({"get", "list", "create", "update", "update_status", "delete", "watch", "record", "events"})

_CALM = nullcontext()
"""Nothing is ordered; one for all, since a store is called far more often than it fails."""


class Faults:
    """Errors that wait for the calls they are meant for; the first ordered comes first. Threads may share it."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, deque[tuple[HikubeError, bool]]] = defaultdict(deque)
        self._lock = threading.Lock()

    def order(self, method: str, error: HikubeError, *, after_effect: bool = False) -> None:
        """Let the next call of `method` raise `error`.

        Args:
            method: A method of the Store protocol.
            error: Raised as it is.
            after_effect: Raise when the call has taken effect, as when the answer is lost; by default nothing has happened.

        Raises:
            ValueError: no such method.
        """
        if method not in METHODS:
            raise ValueError(f"a store has no method {method!r}, but {', '.join(sorted(METHODS))}")
        with self._lock:
            self._waiting[method].append((error, after_effect))

    def strike(self, method: str) -> AbstractContextManager[None]:
        """Around the effect of a call."""
        return self._struck(method) if self._waiting[method] else _CALM

    @contextmanager
    def _struck(self, method: str) -> Iterator[None]:
        with self._lock:
            waiting = self._waiting[method]
            error, after_effect = waiting.popleft() if waiting else (None, False)
        if error is not None and not after_effect:
            raise error
        yield
        if error is not None:
            raise error
