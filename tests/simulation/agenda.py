"""What is still to befall a fleet, and when: the plan, what waits for a port call, and what comes of what has happened.

plan ──due──> strikes between two passes, or waits for its port call ──> strikes before it
                  └── may leave sequels ("it is back after 7 min"), which come with it and go with it
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

from tests.simulation.happening import Happening

NEVER = float("inf")


@dataclass(frozen=True, slots=True, order=True)
class Sequel:
    """What comes of a happening that struck."""

    at_s: float
    number: int
    what: str
    act: Callable[[], object] = field(compare=False)


class Agenda:
    """Times are the world's monotonic ones. Nothing happens here; whoever asks does it."""

    def __init__(self) -> None:
        self._coming: deque[Happening] = deque()
        self._waiting: list[tuple[int, int, Happening]] = []
        """Before which port call, and its number, to tell two of one call apart."""
        self._sequels: list[Sequel] = []
        self._numbers = count(1)

    def follow(self, plan: Iterable[Happening]) -> None:
        """Add these, which are in the order of their times."""
        self._coming.extend(plan)

    def later(self, at_s: float, what: str, act: Callable[[], object]) -> None:
        """Add a sequel."""
        insort(self._sequels, Sequel(at_s, next(self._numbers), what, act))

    def end(self) -> None:
        """Nothing is to come any more."""
        self._coming.clear()
        self._waiting.clear()
        self._sequels.clear()

    @property
    def next_s(self) -> float:
        """When something is due next."""
        coming_s = self._coming[0].at_s if self._coming else NEVER
        return min(coming_s, self._sequels[0].at_s) if self._sequels else coming_s

    @property
    def waits_for_a_call(self) -> bool:
        """Whether something strikes before one of the next port calls."""
        return bool(self._waiting)

    def between_passes(self, now_s: float, *, calls: int) -> Happening | Sequel | None:
        """What strikes now, of what is due; what has to wait for its port call does so from now on."""
        if self._sequels and self._sequels[0].at_s <= now_s:
            return self._sequels.pop(0)
        while self._coming and self._coming[0].at_s <= now_s:
            happening = self._coming.popleft()
            if not happening.calls_later:
                return happening
            insort(self._waiting, (calls + happening.calls_later, happening.number, happening))
        return None

    def before_call(self, calls: int) -> Happening | None:
        """What strikes before this port call."""
        if not self._waiting or self._waiting[0][0] > calls:
            return None
        return self._waiting.pop(0)[2]
