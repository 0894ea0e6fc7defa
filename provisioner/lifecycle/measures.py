"""Who wants to know how the control loop does, in numbers: whoever serves metrics, tests, nobody.

Beside progress.Observer, which hears of steps. Whoever measures must return at once and never raise; it is told, it does not
decide, and nothing of its own (a clock, a library) is known here. Unmeasured, a pass costs two calls that do nothing.
"""

from __future__ import annotations

import enum
from typing import Protocol

from provisioner.model.metadata import Key


class Outcome(enum.StrEnum):
    """How one pass over one key ended."""

    DONE = "done"
    """Nothing to do until something changes."""
    AGAIN = "again"
    """It asks to be looked at again after a while."""
    CONFLICT = "conflict"
    """Somebody else wrote first; it starts anew at once."""
    FAILED = "failed"
    """It raised; it is tried again with back-off."""


class Measures(Protocol):
    """Told about passes and turns as they happen; any thread of the controller's may call."""

    def pass_begins(self) -> float:
        """The moment, by a clock of its own; handed back to `pass_ends`."""
        ...

    def pass_ends(self, key: Key, outcome: Outcome, began: float) -> None:
        """A pass over the key has ended."""
        ...

    def turned(self, *, heard: bool) -> None:
        """The loop asked the store for changes; `heard`: the store answered."""
        ...

    def listed(self) -> None:
        """Every object was listed and queued."""
        ...


class Unmeasured:
    """Nobody wants to know."""

    def pass_begins(self) -> float:
        """No moment at all."""
        return 0.0

    def pass_ends(self, key: Key, outcome: Outcome, began: float) -> None:
        """Nothing."""

    def turned(self, *, heard: bool) -> None:
        """Nothing."""

    def listed(self) -> None:
        """Nothing."""
