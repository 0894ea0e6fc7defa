"""A store whose writes are refused as soon as this process may no longer be the one that runs the control loop.

    controller ──write──> fence ──> store          a deposed leader's write ends here
               ──read───────────> store

The fence asks nobody, so it costs nothing. What it cannot do: a request that was let through and is on its way may arrive after
somebody else leads. In the store that is refused by the version that the write is based on, or by the name that is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from provisioner.model.metadata import Resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provisioner.model.metadata import Key
    from provisioner.store.protocol import Change, Event, Listing, Store

R = TypeVar("R", bound=Resource)

Fence = Callable[[], None]
"""Raises ControllerBusy unless it is certain at this moment that nobody else runs the control loop."""


class FencedStore:
    """See protocol.Store; what changes something raises as the fence does, and has changed nothing then."""

    def __init__(self, store: Store, fence: Fence) -> None:
        self._store = store
        self._fence = fence

    def get(self, kind: type[R], name: str, *, namespace: str = "") -> R:
        """As Store says."""
        return self._store.get(kind, name, namespace=namespace)

    def list(self, kind: type[R], *, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Listing[R]:
        """As Store says."""
        return self._store.list(kind, namespace=namespace, labels=labels)

    def create(self, resource: R, *, keeps_identity: bool = False) -> R:
        """As Store says."""
        self._fence()
        return self._store.create(resource, keeps_identity=keeps_identity)

    def update(self, resource: R) -> R:
        """As Store says."""
        self._fence()
        return self._store.update(resource)

    def update_status(self, resource: R) -> R:
        """As Store says."""
        self._fence()
        return self._store.update_status(resource)

    def delete(self, key: Key, *, uid: str = "", version: str = "") -> None:
        """As Store says."""
        self._fence()
        self._store.delete(key, uid=uid, version=version)

    def watch(self, since: str, *, timeout_s: float) -> tuple[Change, ...]:
        """As Store says."""
        return self._store.watch(since, timeout_s=timeout_s)

    def record(self, event: Event) -> None:
        """As Store says."""
        self._fence()
        self._store.record(event)

    def events(self, about: Key | None = None, *, namespace: str | None = None) -> tuple[Event, ...]:
        """As Store says."""
        return self._store.events(about, namespace=namespace)
