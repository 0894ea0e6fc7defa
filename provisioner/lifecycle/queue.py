"""The work queue: which key is reconciled next.

    add ──> waiting ──(due)──> ready ──take──> in flight ──done──> gone
                                                  │ add while in flight: remembered, ready again at done
Invariants: a key is in flight at most once (per-key serial); a key waits at most once, at the earliest time asked for; at most
`group_limit` keys of one group (a host) are in flight, so that one slow host cannot take every worker.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from provisioner.model.clock import Clock
from provisioner.model.metadata import Key

BACKOFF_FIRST_S = 0.5
BACKOFF_CEILING_S = 60.0


def backoff_s(failures: int, *, first_s: float = BACKOFF_FIRST_S, ceiling_s: float = BACKOFF_CEILING_S) -> float:
    """How long to wait after that many failures in a row: doubling, up to the ceiling."""
    return min(ceiling_s, first_s * 2.0 ** min(max(failures - 1, 0), 30))


@dataclass(frozen=True, slots=True)
class QueueState:
    """How much there is to do at one moment."""

    due: int
    """Keys that could be taken now, if there were workers, and their hosts were less busy."""
    later: int
    """Keys that were asked for with a time ahead."""
    in_flight: int
    oldest_due_s: float
    """For how long the one has been due that has been for longest; 0 if none is."""


class WorkQueue:
    """Keys with due times, taken by any number of workers."""

    def __init__(self, clock: Clock, *, group_of: Callable[[Key], str] = lambda _: "", group_limit: int = 4) -> None:
        self._clock = clock
        self._group_of = group_of
        self._group_limit = group_limit
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = count()
        self._in_flight: dict[Key, str] = {}
        self._busy_groups: Counter[str] = Counter()
        self._again: dict[Key, float] = {}
        self._condition = threading.Condition()

    def add(self, key: Key, *, after_s: float = 0.0) -> None:
        """Ask for the key to be reconciled in `after_s` seconds, or earlier if it was asked for earlier."""
        due = self._clock.monotonic_s() + after_s
        with self._condition:
            if key in self._in_flight:
                self._again[key] = min(due, self._again.get(key, due))
            elif due < self._due.get(key, float("inf")):
                self._push(key, due)
            self._condition.notify()

    def take(self) -> Key | None:
        """A key that is due, now in flight; None if there is none at this moment."""
        with self._condition:
            return self._pop()

    def wait_and_take(self, timeout_s: float) -> Key | None:
        """As `take`, waiting up to `timeout_s` of real time for a key to become due."""
        with self._condition:
            key = self._pop()
            if key is None:
                self._condition.wait(min(timeout_s, max(0.0, self._next_due_in_s())))
                key = self._pop()
            return key

    def wake_all(self) -> None:
        """Let everybody who waits in `wait_and_take` return at once."""
        with self._condition:
            self._condition.notify_all()

    def done(self, key: Key) -> None:
        """The pass over `key` has ended."""
        with self._condition:
            self._busy_groups[self._in_flight.pop(key)] -= 1
            again = self._again.pop(key, None)
            if again is not None:
                self._push(key, min(again, self._due.get(key, again)))
            self._condition.notify()

    def next_due_in_s(self) -> float:
        """Seconds until something is due; infinite if nothing waits."""
        with self._condition:
            return self._next_due_in_s()

    def state(self) -> QueueState:
        """How much there is to do now. Looks at every key: for whoever asks now and then."""
        with self._condition:
            now_s = self._clock.monotonic_s()
            due = [since_s for since_s in self._due.values() if since_s <= now_s]
            oldest_due_s = now_s - min(due, default=now_s)
            return QueueState(len(due), len(self._due) - len(due), len(self._in_flight), oldest_due_s)

    def __len__(self) -> int:
        with self._condition:
            return len(self._due) + len(self._in_flight)

    def _push(self, key: Key, due: float) -> None:
        self._due[key] = due
        heapq.heappush(self._heap, (due, next(self._order), key))

    def _next_due_in_s(self) -> float:
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # superseded by an earlier due time
        return self._heap[0][0] - self._clock.monotonic_s() if self._heap else float("inf")

    def _pop(self) -> Key | None:
        held_back: list[tuple[float, int, Key]] = []
        found: Key | None = None
        while found is None and self._next_due_in_s() <= 0:
            entry = heapq.heappop(self._heap)
            group = self._group_of(entry[2])
            if group and self._busy_groups[group] >= self._group_limit:
                held_back.append(entry)
                continue
            found = entry[2]
            del self._due[found]
            self._in_flight[found] = group
            self._busy_groups[group] += 1
        for entry in held_back:
            heapq.heappush(self._heap, entry)
        return found
