"""What this process has heard of changes, in one order over all kinds, so that it can be watched as one history.

    our own writes ──┐
    watch of kind A ─┼─> tell ──> changes_after(position)
    watch of kind B ─┘

An API server has a watch for each kind, and tells each change some time after it was made. Here a change has a position, one
more than the one before. Of one object nothing older is told after something newer, and nothing twice: our own writes are told
when they were made, and passed over when the server tells them. Positions mean nothing in another process, nor after `forget`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from itertools import islice
from typing import TYPE_CHECKING

from provisioner.store import semantics
from provisioner.store.protocol import Change, ChangeType

if TYPE_CHECKING:
    from provisioner.model.metadata import Key, Resource

GONE_KEPT = 10_000
"""Uids of removed objects, of which nothing more is told."""


class Journal:
    """Safe to use from several threads."""

    def __init__(self, *, kept: int) -> None:
        self._changes: deque[Change] = deque(maxlen=kept)
        self._position = 0
        self._oldest = 0
        """The least position that can be gone on from."""
        self._known: dict[Key, Resource] = {}
        """What was told last of each object."""
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._news = threading.Condition()

    @property
    def position(self) -> str:
        """Of the last change."""
        with self._news:
            return str(self._position)

    def known(self, key: Key) -> Resource | None:
        """The object as it was told last; None if it was not, or is gone."""
        with self._news:
            return self._known.get(key)

    def tell_gone(self, key: Key, *, uid: str) -> None:
        """Note that an object is gone of which nothing more can be said."""
        before = self.known(key)
        if before is not None and before.metadata.uid == uid:
            self.tell(ChangeType.DELETED, before)

    def tell(self, change: ChangeType, resource: Resource) -> None:
        """Note a change, unless something newer is known."""
        with self._news:
            uid, before = resource.metadata.uid, self._known.get(resource.key)
            if uid in self._gone:
                return
            if before is not None and before.metadata.uid != uid:
                if _version(resource) < _version(before):
                    return
                self._note(ChangeType.DELETED, before)
                before = None
            if change is not ChangeType.DELETED:
                if before is not None and _version(resource) <= _version(before):
                    return
                change = ChangeType.ADDED if before is None and change is ChangeType.ADDED else ChangeType.MODIFIED
            self._note(change, resource)
            self._news.notify_all()

    def changes_after(self, since: str, *, timeout_s: float) -> tuple[Change, ...]:
        """As Store.watch, where `since` is a position. Raises Conflict: it is none that can be gone on from."""
        with self._news:
            position = semantics.parse_version(since)
            self._news.wait_for(lambda: self._position > position or position < self._oldest, timeout_s)
            if not self._oldest <= position <= self._position:
                raise semantics.too_old(since)
            first = len(self._changes) - (self._position - position)
            return tuple(islice(self._changes, first, first + semantics.CHANGES_PER_CALL))

    def forget(self) -> None:
        """Something was missed: nobody can go on from before this moment."""
        with self._news:
            self._changes.clear()
            self._position += 1
            self._oldest = self._position
            self._news.notify_all()

    def _note(self, change: ChangeType, resource: Resource) -> None:
        self._position += 1
        if len(self._changes) == self._changes.maxlen:
            self._oldest += 1
        self._changes.append(Change(change, semantics.shown(resource), str(self._position)))
        if change is not ChangeType.DELETED:
            self._known[resource.key] = semantics.shown(resource)
            return
        self._known.pop(resource.key, None)
        self._gone[resource.metadata.uid] = None
        if len(self._gone) > GONE_KEPT:
            self._gone.popitem(last=False)


def _version(resource: Resource) -> int:
    """Versions of one API server are numbers that grow (KEP-5504 says so since Kubernetes 1.35)."""
    return int(resource.metadata.resource_version)
