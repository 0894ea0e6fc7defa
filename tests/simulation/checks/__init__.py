"""What must hold at every moment (safety), and what must hold in the end (liveness).

A check is a small class: `name`, what it `watches`, and `look(sight)` that yields one sentence for each thing that is wrong. It
may remember what it saw; it looks only at what changed or was touched where that is enough: it is asked after every event.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from tests.simulation.sight import Sight


class Check(Protocol):
    """Safety, looked at after every event in which something may have changed."""

    name: str
    """The rule that it guards."""
    watches: frozenset[str]
    """It is asked when one of these is among the news: kinds of objects, HOSTS, TIME."""

    def look(self, sight: Sight) -> Iterable[str]:
        """What is wrong now."""
        ...
