"""The store's twin in memory: the same semantics in one process, without files, and with faults on order.

Deterministic: times and uids come from the clock and the identifiers handed in, nothing from this machine. How objects are kept
is in memory_shelf.py. Threads may share it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

from provisioner.model.clock import Clock, Identifiers, timestamp
from provisioner.model.errors import HikubeError
from provisioner.model.metadata import Key, Resource
from provisioner.store import semantics
from provisioner.store.event_book import EventBook
from provisioner.store.faults import Faults
from provisioner.store.memory_shelf import MemoryShelf
from provisioner.store.protocol import Change, Event, Listing

R = TypeVar("R", bound=Resource)

POLL_S = 0.02
"""How often a watch looks, in the clock's seconds."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a store holds at one moment, in order; equal contents are equal."""

    objects: tuple[Resource, ...] = ()
    events: tuple[Event, ...] = ()
    version: str = "0"


class MemoryStore:
    """As Store says.

    Args:
        clock: Stamps, and waits in `watch`: with a clock that is moved by hand, a watch moves it and never blocks.
        identifiers: Makes uids.
        start: What it holds at first; the history before is not kept.
        history_kept: How many changes can be watched from.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        identifiers: Identifiers,
        start: Snapshot | None = None,
        history_kept: int = semantics.HISTORY_KEPT,
    ) -> None:
        start = start or Snapshot()
        self._clock = clock
        self._identifiers = identifiers
        self._shelf = MemoryShelf(start.objects, version=int(start.version), history_kept=history_kept)
        self._events = EventBook(start.events, present=self._shelf)
        self._faults = Faults()
        self._lock = threading.RLock()

    def fail_next(self, method: str, error: HikubeError, *, after_effect: bool = False) -> None:
        """Let the next call of `method` raise `error`; several orders are served one call each. See Faults.order."""
        self._faults.order(method, error, after_effect=after_effect)

    @property
    def version(self) -> str:
        """Of the last change."""
        with self._lock:
            return str(self._shelf.version)

    def snapshot(self) -> Snapshot:
        """What it holds now; hand it to another store as `start` to try something out."""
        with self._lock:
            return Snapshot(tuple(self._shelf), self._events.all(), str(self._shelf.version))

    def get(self, kind: type[R], name: str, *, namespace: str = "") -> R:
        """As Store says."""
        key = Key(kind.KIND, namespace, name)
        with self._lock, self._faults.strike("get"):
            found = self._shelf.find(key)
            if found is None:
                raise semantics.missing(key)
            return cast("R", found)

    def list(self, kind: type[R], *, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Listing[R]:
        """As Store says."""
        with self._lock, self._faults.strike("list"):
            found = self._shelf.listed(kind.KIND, namespace=namespace, labels=labels or {})
            return Listing(cast("tuple[R, ...]", found), str(self._shelf.version))

    def create(self, resource: R, *, keeps_identity: bool = False) -> R:
        """As Store says."""
        with self._lock, self._faults.strike("create"):
            uid, now = self._identifiers.uuid(), self._now()
            return semantics.create(self._shelf, resource, uid=uid, now=now, keeps_identity=keeps_identity)

    def update(self, resource: R) -> R:
        """As Store says."""
        with self._lock, self._faults.strike("update"):
            return semantics.update(self._shelf, resource, now=self._now())

    def update_status(self, resource: R) -> R:
        """As Store says."""
        with self._lock, self._faults.strike("update_status"):
            return semantics.update_status(self._shelf, resource)

    def delete(self, key: Key, *, uid: str = "", version: str = "") -> None:
        """As Store says."""
        with self._lock, self._faults.strike("delete"):
            semantics.delete(self._shelf, key, uid=uid, version=version, now=self._now())

    def watch(self, since: str, *, timeout_s: float) -> tuple[Change, ...]:
        """As Store says; the time is the clock's."""
        deadline_s = self._clock.monotonic_s() + timeout_s
        with self._faults.strike("watch"):
            while True:
                with self._lock:
                    changes = self._shelf.changes_after(semantics.parse_version(since))
                left_s = deadline_s - self._clock.monotonic_s()
                if changes or left_s <= 0:
                    return changes
                self._clock.sleep(min(POLL_S, left_s))

    def record(self, event: Event) -> None:
        """As Store says."""
        with self._lock, self._faults.strike("record"):
            self._events.record(semantics.told(event), now=self._now())

    def events(self, about: Key | None = None, *, namespace: str | None = None) -> tuple[Event, ...]:
        """As Store says."""
        with self._lock, self._faults.strike("events"):
            return tuple(
                event
                for event in self._events.all()
                if about in (None, event.about) and namespace in (None, event.about.namespace)
            )

    def _now(self) -> str:
        return timestamp(self._clock.now_s())
