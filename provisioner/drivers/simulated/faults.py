"""What shall go wrong, and what was asked: one mechanism for every call of every driver.

Every call has a name, `<part>.<method>`: `connect`, `inventory.survey`, `volumes.upload`, `devices.bind_vfio`, `domains.start`,
`console.tail`, `guests.report`, `images.fetch`. A staged fault is used up by the calls that it matches. Faults that are a state
of the world rather than of one call (a dead GPU, a guest that never answers) belong to SimulatedHost.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

KEPT_CALLS = 10_000


@dataclass(frozen=True, slots=True)
class Fault:
    """A call that shall fail."""

    error: BaseException
    """Raised, as a copy. Any exception: one that is no HikubeError stands for a crash of the caller at this point."""
    call: str = "*"
    """Name of the call; may have wildcards, as `domains.*`."""
    host: str = "*"
    subject: str = "*"
    """What the call is about: a domain, a volume, a PCI address."""
    skip: int = 0
    """How many matching calls go well before."""
    times: int = 1
    takes_effect: bool = False
    """The call does what it was asked, and only the answer is lost."""
    takes_s: float = 0.0
    """Time that passes before the error."""

    def matches(self, *, host: str, call: str, subject: str) -> bool:
        """Whether that call is meant."""
        pairs = ((host, self.host), (call, self.call), (subject, self.subject))
        return all(fnmatchcase(text, pattern) for text, pattern in pairs)


class Faults:
    """The faults that are staged, in the order in which they were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._staged: list[_Staged] = []

    def stage(self, fault: Fault) -> None:
        """Let the calls that it matches fail."""
        with self._lock:
            self._staged.append(_Staged(fault, skip=fault.skip, times=fault.times))

    def next(self, *, call: str, error: BaseException, host: str = "*", takes_effect: bool = False) -> None:
        """Let the next such call fail."""
        self.stage(Fault(error, call=call, host=host, takes_effect=takes_effect))

    def clear(self) -> None:
        """Forget every fault that was not used up."""
        with self._lock:
            self._staged.clear()

    @property
    def pending(self) -> int:
        """How many staged faults are not used up yet."""
        with self._lock:
            return len(self._staged)

    def take(self, *, host: str, call: str, subject: str) -> Fault | None:
        """The fault of this call, used up by it; its error is a fresh copy."""
        with self._lock:
            for staged in self._staged:
                if staged.fault.matches(host=host, call=call, subject=subject):
                    return self._use(staged)
        return None

    def _use(self, staged: _Staged) -> Fault | None:
        if staged.skip:
            staged.skip -= 1
            return None
        staged.times -= 1
        if staged.times <= 0:
            self._staged.remove(staged)
        fault = copy.copy(staged.fault)
        object.__setattr__(fault, "error", copy.copy(fault.error))
        return fault


@dataclass(slots=True)
class _Staged:
    fault: Fault
    skip: int
    times: int


@dataclass(slots=True)
class Call:
    """One call that was made."""

    host: str
    name: str
    subject: str
    at_s: float
    """When it began, by the monotonic clock."""
    went_well: bool = False
    """False while it runs, and when it raised."""
    error: str = ""
    """Class of the HikubeError that it raised."""


class CallLog:
    """The last calls, in the order in which they began; bounded."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=KEPT_CALLS)

    def __iter__(self) -> Iterator[Call]:
        return iter(tuple(self._calls))

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Call) -> Call:
        """Keep it; the oldest is dropped when there are too many."""
        self._calls.append(call)
        return call

    @property
    def newest(self) -> Call | None:
        """The call that began last."""
        return self._calls[-1] if self._calls else None

    def names(self, pattern: str = "*", *, host: str = "*") -> tuple[str, ...]:
        """Names of the calls that match."""
        return tuple(c.name for c in self if fnmatchcase(c.name, pattern) and fnmatchcase(c.host, host))

    def count(self, pattern: str, *, host: str = "*") -> int:
        """How many calls match."""
        return len(self.names(pattern, host=host))

    def clear(self) -> None:
        """Forget them."""
        self._calls.clear()
