"""Objects of some kinds as this process knows them, brought up to date by the store's history instead of by reading them all.

    first, or after a gap   list every kind      ┐
    from then on            watch, without waiting ├──> what has changed since the last time, each as (before, after)

When `catch_up` returns, everything is known that had been written when it was called, as if it had been listed; over a store
that hears of other writers some time later (see store/kubernetes), all that this process has written and heard. Versions of
changes have no gaps, so one that was lost on the way is noticed with the next, and all is listed again. Not safe for threads by
itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.model.errors import Conflict
from provisioner.store.protocol import Change, ChangeType
from provisioner.store.semantics import CHANGES_PER_CALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provisioner.model.metadata import Key, Resource
    from provisioner.store.protocol import Store

CALLS_MAX = 200
"""More changes than so many calls bring are listed."""

News = tuple["Resource | None", "Resource | None"]
"""An object before and after; None: it was not there, or is no more."""


class Mirror:
    """The objects of these kinds."""

    def __init__(self, *kinds: type[Resource]) -> None:
        self._kinds = {kind.KIND: kind for kind in kinds}
        self._objects: dict[Key, Resource] = {}
        self._store: Store | None = None
        self._version = ""

    @property
    def objects(self) -> tuple[Resource, ...]:
        """As they were at the last call of `catch_up`, in no order."""
        return tuple(self._objects.values())

    def catch_up(self, store: Store) -> list[News]:
        """What is other than at the last call; everything, at the first. Another store than before is listed anew.

        Raises:
            StoreUnavailable: nothing was taken in that was not told.
        """
        if store is not self._store:
            return self._listed(store)
        try:
            changes = list(self._changes(store))
        except Conflict:
            return self._listed(store)
        return [self._taken_in(change) for change in changes if change.resource.kind in self._kinds]

    def _changes(self, store: Store) -> Iterator[Change]:
        """All changes up to now. Raises Conflict: they are not all to be had."""
        version = self._version
        for _ in range(CALLS_MAX):
            changes = store.watch(version, timeout_s=0.0)
            for change in changes:
                if version.isdecimal() and int(change.version) != int(version) + 1:  # a list's may be of another kind
                    raise Conflict(f"the changes between {version} and {change.version} are missing")
                version = change.version
                yield change
            if len(changes) < CHANGES_PER_CALL:
                self._version = version
                return
        raise Conflict("too many changes to take them in one by one")

    def _taken_in(self, change: Change) -> News:
        key = change.resource.key
        before = self._objects.pop(key, None)
        if change.type is ChangeType.DELETED:
            return before, None
        self._objects[key] = change.resource
        return before, change.resource

    def _listed(self, store: Store) -> list[News]:
        """Goes on from the oldest list's version: what is told twice does no harm."""
        self._store = None
        listings = [store.list(kind) for kind in self._kinds.values()]
        before, self._objects = self._objects, {each.key: each for listing in listings for each in listing.items}
        self._store, self._version = store, listings[0].version
        news: list[News] = [(before.get(key), each) for key, each in self._objects.items() if before.get(key) is not each]
        return [*news, *((each, None) for key, each in before.items() if key not in self._objects)]
