"""A store that counts what is asked of it; what it says is the inner store's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TypeVar

from provisioner.model.metadata import Key, Resource
from provisioner.store.protocol import Change, Event, Listing, Store

R = TypeVar("R", bound=Resource)

WRITES = ("create", "update", "update_status", "delete", "record")


class CountingStore:
    """A store that counts its calls by method; everything else is the store's."""

    def __init__(self, store: Store) -> None:
        self.inner = store
        self.calls: Counter[str] = Counter()
        self.creations: Counter[str] = Counter()
        """By kind, those that were refused included."""

    @property
    def writes(self) -> int:
        """Transactions so far."""
        return sum(self.calls[method] for method in WRITES)

    def get(self, kind: type[R], name: str, *, namespace: str = "") -> R:
        self.calls["get"] += 1
        return self.inner.get(kind, name, namespace=namespace)

    def list(self, kind: type[R], *, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Listing[R]:
        self.calls["list"] += 1
        return self.inner.list(kind, namespace=namespace, labels=labels)

    def create(self, resource: R, *, keeps_identity: bool = False) -> R:
        self.calls["create"] += 1
        self.creations[resource.kind] += 1
        return self.inner.create(resource, keeps_identity=keeps_identity)

    def update(self, resource: R) -> R:
        self.calls["update"] += 1
        return self.inner.update(resource)

    def update_status(self, resource: R) -> R:
        self.calls["update_status"] += 1
        return self.inner.update_status(resource)

    def delete(self, key: Key, *, uid: str = "", version: str = "") -> None:
        self.calls["delete"] += 1
        self.inner.delete(key, uid=uid, version=version)

    def watch(self, since: str, *, timeout_s: float) -> tuple[Change, ...]:
        self.calls["watch"] += 1
        return self.inner.watch(since, timeout_s=timeout_s)

    def record(self, event: Event) -> None:
        self.calls["record"] += 1
        self.inner.record(event)

    def events(self, about: Key | None = None, *, namespace: str | None = None) -> tuple[Event, ...]:
        self.calls["events"] += 1
        return self.inner.events(about, namespace=namespace)
