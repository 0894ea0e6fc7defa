"""When something began for an object, so that a look at it can say how long it still takes."""

from __future__ import annotations

import time


class Timers:
    """By uid and what it is that takes time; for one thread."""

    def __init__(self) -> None:
        self._began: dict[str, dict[str, float]] = {}

    def left_s(self, uid: str, what: str, seconds: float) -> float:
        """How long it still takes; the first question begins it. Not positive when it is over."""
        began = self._began.setdefault(uid, {}).setdefault(what, time.monotonic())
        return seconds - (time.monotonic() - began)

    def restart(self, uid: str, what: str) -> None:
        """The next question begins it anew."""
        self._began.get(uid, {}).pop(what, None)

    def has_begun(self, uid: str, what: str) -> bool:
        return what in self._began.get(uid, {})

    def forget(self, uid: str) -> None:
        self._began.pop(uid, None)
