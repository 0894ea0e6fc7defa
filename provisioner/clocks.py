"""Time and identifiers: the system's, and twins that a test or a simulation moves by hand.

These implement the protocols of provisioner.model.clock. Production code never picks one of them itself: whoever assembles the
program hands them in. The twins are deterministic: the same seed and the same calls give the same names and times.
"""

from __future__ import annotations

import threading
import time

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


class SystemClock:
    """The clocks of this machine."""

    def now_s(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic_s(self) -> float:
        """Seconds since some point before the start of the process."""
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        """Block this thread; a negative duration is none."""
        time.sleep(max(0.0, duration_s))


class SystemIdentifiers:
    """Names from the operating system's randomness; nobody can guess the next one.

    The modules behind it are loaded with the first name: most commands only read.
    """

    def uuid(self) -> str:
        """A version 4 UUID."""
        from uuid import uuid4

        return str(uuid4())

    def token(self, length: int) -> str:
        """`length` characters of ALPHABET."""
        from secrets import choice

        return "".join(choice(ALPHABET) for _ in range(length))


class ManualClock:
    """Stands still until it is told to move. Sleeping moves it, and returns at once. Threads may share it.

    Reading takes no lock: a simulation looks at it more often than at anything else.
    """

    def __init__(self, start_s: float = 1_700_000_000.0) -> None:
        self._now_s = start_s
        self._elapsed_s = 0.0
        self._lock = threading.Lock()

    def now_s(self) -> float:
        """Where the hands are."""
        return self._now_s

    def monotonic_s(self) -> float:
        """Seconds that it was moved forward since it was made."""
        return self._elapsed_s

    def sleep(self, duration_s: float) -> None:
        """Move forward by `duration_s`; a negative duration is none."""
        self.advance(max(0.0, duration_s))

    def advance(self, duration_s: float) -> None:
        """Move both times forward.

        Raises:
            ValueError: the duration is negative; time that goes back is `set_now`.
        """
        if duration_s < 0:
            raise ValueError(f"a clock cannot advance by {duration_s} s")
        with self._lock:
            self._now_s += duration_s
            self._elapsed_s += duration_s

    def set_now(self, now_s: float) -> None:
        """Let the time of day jump, also backwards; the monotonic time does not move."""
        with self._lock:
            self._now_s = now_s


class SeededIdentifiers:
    """The same names in the same order for the same seed. Threads may share it, and then share the order."""

    def __init__(self, seed: int = 0) -> None:
        from random import Random

        self._random = Random(seed)  # noqa: S311  # to be guessable is its purpose
        self._lock = threading.Lock()

    def uuid(self) -> str:
        """A well-formed version 4 UUID."""
        from uuid import UUID

        with self._lock:
            return str(UUID(int=self._random.getrandbits(128), version=4))

    def token(self, length: int) -> str:
        """`length` characters of ALPHABET."""
        with self._lock:
            return "".join(self._random.choices(ALPHABET, k=length))
