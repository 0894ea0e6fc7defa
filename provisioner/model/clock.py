"""Time and randomness as parameters.

Code that waits, stamps or makes up names takes a Clock and an Identifiers; production hands in the system's, tests and the
simulation hand in their own. This module must not read any clock itself.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Reads time and waits; both in seconds."""

    def now_s(self) -> float:
        """Seconds since the epoch; may jump."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since some fixed point; never goes back."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Wait at least `duration_s`."""
        ...


class Identifiers(Protocol):
    """Makes unguessable names."""

    def uuid(self) -> str:
        """A random UUID in its canonical text form."""
        ...

    def token(self, length: int) -> str:
        """`length` characters of [a-z0-9], fit for a name."""
        ...


def timestamp(now_s: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC with microseconds, the form of every time in a resource."""
    return datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(timestamp_text: str) -> float:
    """The inverse of `timestamp`; also reads times without a fraction.

    Raises:
        ValueError: the text is no RFC 3339 time.
    """
    return datetime.fromisoformat(timestamp_text.replace("Z", "+00:00")).timestamp()
