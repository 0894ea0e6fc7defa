"""What may be wrong for a while, and not for longer: counted by a clock that stands while somebody has an excuse."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from tests.simulation.sight import Sight

K = TypeVar("K", bound=Hashable)

ORPHANED_MAX_S = 1500.0
"""Hosts are swept every 300 s, and what has no owner is seen twice before it is touched."""


@dataclass(frozen=True, slots=True)
class _Case:
    host: str
    since_s: float


class Overdue(Generic[K]):
    """Open cases, each with the host that has to act for it.

    Args:
        limit_s: Of calm time, see Sight.calm_s.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._cases: dict[K, _Case] = {}

    def open(self, key: K, sight: Sight, *, host: str = "") -> None:
        """It is so; since now, unless it was so before and the same host had to act."""
        known = self._cases.get(key)
        if known is None or known.host != host:
            self._cases[key] = _Case(host, sight.calm_s(host))

    def close(self, key: K) -> None:
        """It is not so any more."""
        self._cases.pop(key, None)

    def judge(self, key: K, sight: Sight, *, is_wrong: bool, host: str = "") -> None:
        """Open or close."""
        if is_wrong:
            self.open(key, sight, host=host)
        else:
            self.close(key)

    def cases(self) -> tuple[K, ...]:
        """Those that are open."""
        return tuple(self._cases)

    def late(self, sight: Sight) -> Iterator[tuple[K, float]]:
        """Those that have been so for longer than the limit, and for how many seconds."""
        for key, case in self._cases.items():
            for_s = sight.calm_s(case.host) - case.since_s
            if for_s > self.limit_s:
                yield key, for_s
