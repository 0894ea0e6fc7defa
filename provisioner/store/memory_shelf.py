"""semantics.Shelf over dictionaries: objects by kind, in order, found by label and by owner without a look at the others.

All that can fail in a write comes before its first effect. What is put away went through JSON like in the real stores, so an
object that does not survive that is noticed here too; what came out of a text before is not written and read once more. Not
safe for threads by itself.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from provisioner.model.metadata import Key, Part, Resource, matches
from provisioner.store import semantics
from provisioner.store.protocol import Change, ChangeType

R = TypeVar("R", bound=Resource)

TRIM_AFTER = 1_000
"""Changes too many, before the oldest go: to take one away from the front costs as much as to take away a thousand."""
Place = tuple[str, str]
"""Namespace and name."""


class MemoryShelf:
    """Every object, and the history of changes."""

    def __init__(self, objects: tuple[Resource, ...] = (), *, version: int = 0, history_kept: int) -> None:
        self.version = version
        self._drawers: defaultdict[str, _Drawer] = defaultdict(_Drawer)
        self._owned: defaultdict[str, set[Key]] = defaultdict(set)
        self._history: list[Change] = []
        self._history_kept = history_kept
        for resource in objects:
            self._put(resource)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, Key) and self.find(key) is not None

    def __iter__(self) -> Iterator[Resource]:
        """Every object, in order of kind, namespace and name."""
        for kind in sorted(self._drawers):
            yield from self._drawers[kind].all()

    def find(self, key: Key) -> Resource | None:
        """As Shelf says."""
        return self._drawers[key.kind].objects.get((key.namespace, key.name))

    def dependents(self, uid: str) -> list[Resource]:
        """As Shelf says."""
        found = (self.find(key) for key in sorted(self._owned.get(uid, ())))
        return [resource for resource in found if resource is not None]

    def listed(self, kind: str, *, namespace: str | None, labels: Mapping[str, str]) -> tuple[Resource, ...]:
        """Those of a kind, in order of namespace and name."""
        drawer = self._drawers[kind]
        found = drawer.labelled_with(labels) if labels else drawer.all()
        return found if namespace is None else tuple(each for each in found if each.metadata.namespace == namespace)

    def write(self, change: ChangeType, resource: R) -> R:
        """As Shelf says."""
        version = str(self.version + 1)
        stored = _as_stored(resource, self.find(resource.key)).with_metadata(resource_version=version)
        self._take_away(stored.key)
        if change is not ChangeType.DELETED:
            self._put(stored)
        self.version += 1
        self._history.append(Change(change, semantics.shown(stored), version))
        if len(self._history) > self._history_kept + TRIM_AFTER:
            del self._history[: -self._history_kept]
        return stored

    def changes_after(self, version: int) -> tuple[Change, ...]:
        """The next changes after that version.

        Raises:
            Conflict: they are not kept, or there is no such version.
        """
        kept = min(len(self._history), self._history_kept)
        if not self.version - kept <= version <= self.version:
            raise semantics.too_old(str(version))
        first = len(self._history) - (self.version - version)
        return tuple(self._history[first : first + semantics.CHANGES_PER_CALL])

    def _put(self, resource: Resource) -> None:
        self._drawers[resource.kind].put(resource)
        for owner in resource.metadata.owner_references:
            self._owned[owner.uid].add(resource.key)

    def _take_away(self, key: Key) -> None:
        known = self._drawers[key.kind].take_away((key.namespace, key.name))
        for owner in known.metadata.owner_references if known else ():
            self._owned[owner.uid].discard(key)
            if not self._owned[owner.uid]:
                del self._owned[owner.uid]


class _Drawer:
    """The objects of one kind."""

    def __init__(self) -> None:
        self.objects: dict[Place, Resource] = {}
        self._order: list[Place] = []
        self._all: tuple[Resource, ...] | None = None
        self._labelled: defaultdict[tuple[str, str], set[Place]] = defaultdict(set)

    def all(self) -> tuple[Resource, ...]:
        """All of them, in order; the same tuple until one of them changes."""
        if self._all is None:
            self._all = tuple(map(self.objects.__getitem__, self._order))
        return self._all

    def labelled_with(self, labels: Mapping[str, str]) -> tuple[Resource, ...]:
        """Those that have all of these labels, in order."""
        places = sorted(self._labelled.get(next(iter(labels.items())), ()))
        return tuple(found for place in places if matches((found := self.objects[place]).metadata.labels, labels))

    def put(self, resource: Resource) -> None:
        place = (resource.metadata.namespace, resource.metadata.name)
        insort(self._order, place)
        self.objects[place] = resource
        self._all = None
        for label in resource.metadata.labels.items():
            self._labelled[label].add(place)

    def take_away(self, place: Place) -> Resource | None:
        known = self.objects.pop(place, None)
        if known is None:
            return None
        del self._order[bisect_left(self._order, place)]
        self._all = None
        for label in known.metadata.labels.items():
            self._labelled[label].discard(place)
            if not self._labelled[label]:
                del self._labelled[label]
        return known


def _as_stored(resource: R, before: Resource | None) -> R:
    """The object as its text says it, and as far as possible made of the same parts as the one that is stored.

    Raises:
        InvalidInput: it cannot be stored.
    """
    is_status_alone = before is not None and resource.metadata is before.metadata and resource.spec is before.spec
    if before is None or not is_status_alone or type(resource.status) is not type(before.status):
        return type(resource).model_validate_json(semantics.text_of(resource))
    return resource.model_copy(update={"status": _status_as_stored(resource.status, before.status)})


def _status_as_stored(status: Part, before: Part) -> Part:
    """Every field of a status has a default, so the text of those that changed is a status by itself."""
    names = type(status).model_fields
    changed = {name for name in names if getattr(status, name) is not getattr(before, name)}
    read = type(status).model_validate_json(semantics.text_of(status, only=changed))
    fields = {name: _shared(getattr(read, name), getattr(status, name), getattr(before, name)) for name in changed}
    return before.model_copy(update=fields)


def _shared(read: Any, wanted: Any, before: Any) -> Any:
    """What was read; of a tuple, those elements that were stored already are the stored ones, so that histories stay small."""
    if not (isinstance(read, tuple) and isinstance(wanted, tuple) and isinstance(before, tuple)):
        return read
    stored = set(map(id, before))
    return tuple(old if id(old) in stored else new for old, new in zip(wanted, read, strict=True))
