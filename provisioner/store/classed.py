"""A store as the controller of one class has it: all objects are there, and it is known which are not its own to act on.

    list, get, watch ──> noted: which class looks after each object ──> is_foreign, is_undecided
    create of a claim ──> marked as of this class

Whoever plans must see everybody's VMs and claims, or a GPU would be given twice and a running VM of somebody else would look
like one that belongs to nobody. So nothing is hidden here; who acts asks first (see lifecycle/serving.py). Threads may share
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from provisioner.model.classes import CLASS_LABEL, CLASSED, class_of, is_decided
from provisioner.model.metadata import Resource
from provisioner.store.protocol import ChangeType, Listing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provisioner.model.metadata import Key
    from provisioner.store.protocol import Change, Event, Store

R = TypeVar("R", bound=Resource)

HOST, CLAIM = "GPUHost", "GPUClaim"


class ClassedStore:
    """See protocol.Store; raises as the store behind it."""

    def __init__(self, store: Store, *, class_name: str) -> None:
        self.class_name = class_name
        self._store = store
        self._foreign: set[Key] = set()
        self._undecided: set[Key] = set()

    def is_foreign(self, key: Key) -> bool:
        """Whether another class looks after the object, as far as it was seen."""
        return key in self._foreign

    def is_undecided(self, key: Key) -> bool:
        """Whether the host's class is still to be written down, as far as it was seen."""
        return key in self._undecided

    def get(self, kind: type[R], name: str, *, namespace: str = "") -> R:
        """As Store says."""
        return self._noted(self._store.get(kind, name, namespace=namespace))

    def list(self, kind: type[R], *, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Listing[R]:
        """As Store says."""
        listing = self._store.list(kind, namespace=namespace, labels=labels)
        for each in listing.items:
            self._noted(each)
        return listing

    def create(self, resource: R, *, keeps_identity: bool = False) -> R:
        """As Store says; a claim is of this class."""
        if resource.kind == CLAIM and self.class_name:
            resource = resource.with_metadata(labels={**resource.metadata.labels, CLASS_LABEL: self.class_name})
        return self._noted(self._store.create(resource, keeps_identity=keeps_identity))

    def update(self, resource: R) -> R:
        """As Store says."""
        return self._noted(self._store.update(resource))

    def update_status(self, resource: R) -> R:
        """As Store says."""
        return self._store.update_status(resource)

    def delete(self, key: Key, *, uid: str = "", version: str = "") -> None:
        """As Store says."""
        self._store.delete(key, uid=uid, version=version)

    def watch(self, since: str, *, timeout_s: float) -> tuple[Change, ...]:
        """As Store says."""
        changes = self._store.watch(since, timeout_s=timeout_s)
        for change in changes:
            if change.type is ChangeType.DELETED:
                self._foreign.discard(change.resource.key)
                self._undecided.discard(change.resource.key)
            else:
                self._noted(change.resource)
        return changes

    def record(self, event: Event) -> None:
        """As Store says."""
        self._store.record(event)

    def events(self, about: Key | None = None, *, namespace: str | None = None) -> tuple[Event, ...]:
        """As Store says."""
        return self._store.events(about, namespace=namespace)

    def _noted(self, resource: R) -> R:
        if resource.kind not in CLASSED and resource.kind not in (HOST, CLAIM):
            return resource
        is_open = resource.kind == HOST and not is_decided(resource)
        _keep(self._undecided, resource.key, is_in=is_open)
        _keep(self._foreign, resource.key, is_in=not is_open and class_of(resource) != self.class_name)
        return resource


def _keep(known: set[Key], key: Key, *, is_in: bool) -> None:
    if is_in:
        known.add(key)
    else:
        known.discard(key)
