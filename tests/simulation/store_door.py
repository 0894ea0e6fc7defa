"""One process's way to the store: its calls pass the gate, may fail before or after their effect, and may read what is old.

A stale read is served from the store as it was a moment ago, as a replica or a cache would. A watch may lose changes or tell
them twice. What is written is always written to the store as it is, which refuses what was based on an old version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from provisioner.model.metadata import Key, Resource
from provisioner.store.memory import MemoryStore
from provisioner.store.protocol import Change, Event, Listing
from tests.simulation.moments import Gate

R = TypeVar("R", bound=Resource)
HOST = "store"


class StoreDoor:
    """See store.protocol.Store."""

    def __init__(self, store: MemoryStore, gate: Gate) -> None:
        self._store = store
        self._gate = gate
        self._old: MemoryStore | None = None
        self._old_reads = 0
        self.loses_changes = False
        """Whether the next changes that are watched for are never told."""
        self.repeats_changes = False
        """Whether they are told twice."""
        self._lost_up_to = 0

    def go_stale(self, *, reads: int, old: MemoryStore | None) -> None:
        """Serve that many reads from `old`; None: from what is there, as ever."""
        self._old, self._old_reads = old, reads

    def get(self, kind: type[R], name: str, *, namespace: str = "") -> R:
        with self._call("get", name):
            return self._read_from().get(kind, name, namespace=namespace)

    def list(self, kind: type[R], *, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Listing[R]:
        with self._call("list", kind.KIND):
            return self._read_from().list(kind, namespace=namespace, labels=labels)

    def create(self, resource: R, *, keeps_identity: bool = False) -> R:
        with self._call("create", str(resource.key)):
            return self._store.create(resource, keeps_identity=keeps_identity)

    def update(self, resource: R) -> R:
        with self._call("update", str(resource.key)):
            return self._store.update(resource)

    def update_status(self, resource: R) -> R:
        with self._call("update_status", str(resource.key)):
            return self._store.update_status(resource)

    def delete(self, key: Key, *, uid: str = "", version: str = "") -> None:
        with self._call("delete", str(key)):
            self._store.delete(key, uid=uid, version=version)

    def watch(self, since: str, *, timeout_s: float) -> tuple[Change, ...]:
        with self._call("watch", ""):
            changes = self._store.watch(str(max(int(since), self._lost_up_to)), timeout_s=timeout_s)
        if changes and self.loses_changes:
            self.loses_changes, self._lost_up_to = False, int(changes[-1].version)
            self._gate.losses += 1
            return ()
        if changes and self.repeats_changes:
            self.repeats_changes = False
            return (*changes, *changes)
        return changes

    def record(self, event: Event) -> None:
        with self._call("record", str(event.about)):
            self._store.record(event)

    def events(self, about: Key | None = None, *, namespace: str | None = None) -> tuple[Event, ...]:
        with self._call("events", ""):
            return self._store.events(about, namespace=namespace)

    def _read_from(self) -> MemoryStore:
        if self._old is None:
            return self._store
        self._old_reads -= 1
        old = self._old
        if self._old_reads <= 0:
            self._old = None
        return old

    @contextmanager
    def _call(self, method: str, subject: str) -> Iterator[None]:
        fault = self._gate.take(host=HOST, call=f"store.{method}", subject=subject)
        if fault is not None and not fault.takes_effect:
            raise fault.error
        yield
        if fault is not None:
            raise fault.error
