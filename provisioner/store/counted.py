"""A store whose calls are told: which, on what kind, how they ended, how long they took.

    controller ──> fence ──> CountedStore ──> store
                                  └── tell(verb, kind, code, seconds)

Calls that the fence refuses never come here. What is told has few values, so it can be counted by each. It changes nothing of
what the store says, and costs two looks at a clock a call.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from provisioner.model.errors import HikubeError
from provisioner.model.metadata import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provisioner.model.metadata import Key
    from provisioner.store.protocol import Change, Event, Listing, Store

R = TypeVar("R", bound=Resource)

OK = "ok"
BROKEN = "broken"
"""The code of an error that is none of ours."""
EVERY_KIND = ""
"""The kind of a watch, which hears of all."""


class Tell(Protocol):
    """Hears of each call when it has ended; returns at once and never raises."""

    def __call__(self, verb: str, kind: str, *, code: str, duration_s: float) -> None:
        """`verb`: the store's method; `code`: OK, the code of the error (`HK-CONFLICT-001`), or BROKEN."""
        ...


class CountedStore:
    """See protocol.Store."""

    def __init__(self, store: Store, tell: Tell) -> None:
        self._store = store
        self._tell = tell

    def get(self, kind: type[R], name: str, *, namespace: str = "") -> R:
        """As Store says."""
        with self._told("get", kind.KIND):
            return self._store.get(kind, name, namespace=namespace)

    def list(self, kind: type[R], *, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Listing[R]:
        """As Store says."""
        with self._told("list", kind.KIND):
            return self._store.list(kind, namespace=namespace, labels=labels)

    def create(self, resource: R, *, keeps_identity: bool = False) -> R:
        """As Store says."""
        with self._told("create", resource.kind):
            return self._store.create(resource, keeps_identity=keeps_identity)

    def update(self, resource: R) -> R:
        """As Store says."""
        with self._told("update", resource.kind):
            return self._store.update(resource)

    def update_status(self, resource: R) -> R:
        """As Store says."""
        with self._told("update_status", resource.kind):
            return self._store.update_status(resource)

    def delete(self, key: Key, *, uid: str = "", version: str = "") -> None:
        """As Store says."""
        with self._told("delete", key.kind):
            self._store.delete(key, uid=uid, version=version)

    def watch(self, since: str, *, timeout_s: float) -> tuple[Change, ...]:
        """As Store says."""
        with self._told("watch", EVERY_KIND):
            return self._store.watch(since, timeout_s=timeout_s)

    def record(self, event: Event) -> None:
        """As Store says."""
        with self._told("record", event.about.kind):
            self._store.record(event)

    def events(self, about: Key | None = None, *, namespace: str | None = None) -> tuple[Event, ...]:
        """As Store says."""
        with self._told("events", about.kind if about else EVERY_KIND):
            return self._store.events(about, namespace=namespace)

    @contextmanager
    def _told(self, verb: str, kind: str) -> Iterator[None]:
        began_s, code = time.perf_counter(), BROKEN
        try:
            yield
            code = OK
        except HikubeError as error:
            code = error.code
            raise
        finally:
            self._tell(verb, kind, code=code, duration_s=time.perf_counter() - began_s)
