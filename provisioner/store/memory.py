"""The store's twin in memory: the same semantics in one process, without files, and with faults on order.

Deterministic: times and uids come from the clock and the identifiers handed in, nothing from this machine. What comes out went
through JSON like in the real ones, so an object that does not survive that is noticed here too. Threads may share it.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar, cast

from provisioner.model.clock import Clock, Identifiers, timestamp
from provisioner.model.errors import HikubeError
from provisioner.model.metadata import Key, Resource, matches
from provisioner.store import semantics
from provisioner.store.event_book import EventBook
from provisioner.store.faults import Faults
from provisioner.store.protocol import Change, ChangeType, Event, Listing

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
        self._shelf = _MemoryShelf(start, history_kept=history_kept)
        self._faults = Faults()
        self._lock = threading.RLock()

    def fail_next(self, method: str, error: HikubeError, *, after_effect: bool = False) -> None:
        """Let the next call of `method` raise `error`; several orders are served one call each. See Faults.order."""
        self._faults.order(method, error, after_effect=after_effect)

    def snapshot(self) -> Snapshot:
        """What it holds now; hand it to another store as `start` to try something out."""
        with self._lock:
            objects = self._shelf.objects
            return Snapshot(tuple(objects[key] for key in sorted(objects)), self._shelf.events.all(), str(self._shelf.version))

    def get(self, kind: type[R], name: str, *, namespace: str = "") -> R:
        """As Store says."""
        key = Key(kind.KIND, namespace, name)
        with self._call("get"):
            found = self._shelf.find(key)
            if found is None:
                raise semantics.missing(key)
            return cast("R", found)

    def list(self, kind: type[R], *, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Listing[R]:
        """As Store says."""
        with self._call("list"):
            found = [
                resource
                for key, resource in self._shelf.objects.items()
                if key.kind == kind.KIND
                and namespace in (None, key.namespace)
                and matches(resource.metadata.labels, labels or {})
            ]
            found.sort(key=lambda resource: resource.key)
            return Listing(cast("tuple[R, ...]", tuple(found)), str(self._shelf.version))

    def create(self, resource: R, *, keeps_identity: bool = False) -> R:
        """As Store says."""
        with self._call("create"):
            uid, now = self._identifiers.uuid(), self._now()
            return semantics.create(self._shelf, resource, uid=uid, now=now, keeps_identity=keeps_identity)

    def update(self, resource: R) -> R:
        """As Store says."""
        with self._call("update"):
            return semantics.update(self._shelf, resource, now=self._now())

    def update_status(self, resource: R) -> R:
        """As Store says."""
        with self._call("update_status"):
            return semantics.update_status(self._shelf, resource)

    def delete(self, key: Key, *, uid: str = "") -> None:
        """As Store says."""
        with self._call("delete"):
            semantics.delete(self._shelf, key, uid=uid, now=self._now())

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
        with self._call("record"):
            self._shelf.events.record(semantics.told(event), now=self._now())
            self._shelf.events.forget_removed(self._shelf.objects)

    def events(self, about: Key | None = None, *, namespace: str | None = None) -> tuple[Event, ...]:
        """As Store says."""
        with self._call("events"):
            return tuple(
                event
                for event in self._shelf.events.all()
                if about in (None, event.about) and namespace in (None, event.about.namespace)
            )

    @contextmanager
    def _call(self, method: str) -> Iterator[None]:
        with self._lock, self._faults.strike(method):
            yield

    def _now(self) -> str:
        return timestamp(self._clock.now_s())


class _MemoryShelf:
    """semantics.Shelf over dictionaries. All that can fail in a write comes before its first effect."""

    def __init__(self, start: Snapshot, *, history_kept: int) -> None:
        self.objects = {resource.key: resource for resource in start.objects}
        self.events = EventBook(start.events)
        self.version = int(start.version)
        self._history: deque[Change] = deque(maxlen=history_kept)
        self._owned: defaultdict[str, set[Key]] = defaultdict(set)
        for resource in start.objects:
            self._own(resource)

    def find(self, key: Key) -> Resource | None:
        return self.objects.get(key)

    def dependents(self, uid: str) -> list[Resource]:
        return [self.objects[key] for key in sorted(self._owned.get(uid, ()))]

    def write(self, change: ChangeType, resource: R) -> R:
        version = str(self.version + 1)
        stamped = resource.with_metadata(resource_version=version)
        stamped = type(resource).model_validate_json(semantics.text_of(stamped))
        self._disown(stamped.key)
        if change is ChangeType.DELETED:
            del self.objects[stamped.key]
            self.events.forget_removed(self.objects)
        else:
            self.objects[stamped.key] = stamped
            self._own(stamped)
        self.version += 1
        self._history.append(Change(change, semantics.shown(stamped), version))
        return stamped

    def changes_after(self, version: int) -> tuple[Change, ...]:
        """The next changes after that version.

        Raises:
            Conflict: they are not kept, or there is no such version.
        """
        oldest = self.version - len(self._history)
        if not oldest <= version <= self.version:
            raise semantics.too_old(str(version))
        first = version - oldest
        return tuple(islice(self._history, first, first + semantics.CHANGES_PER_CALL))

    def _own(self, resource: Resource) -> None:
        for owner in resource.metadata.owner_references:
            self._owned[owner.uid].add(resource.key)

    def _disown(self, key: Key) -> None:
        known = self.objects.get(key)
        for owner in known.metadata.owner_references if known else ():
            self._owned[owner.uid].discard(key)
            if not self._owned[owner.uid]:
                del self._owned[owner.uid]
