"""The store as it would be after some documents were applied: for dry runs, which read and never write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar, cast

from provisioner.model.metadata import Key, Resource
from provisioner.store.protocol import Listing, Store

R = TypeVar("R", bound=Resource)


class Overlay:
    """Reads from the documents first, then from the store below. It has no writing methods."""

    def __init__(self, below: Store, documents: Iterable[Resource]) -> None:
        self._below = below
        self._documents: dict[Key, Resource] = {document.key: document for document in documents}

    @classmethod
    def over(cls, below: Store, documents: Iterable[Resource]) -> Store:
        """An overlay as a Store, for functions that only read."""
        return cast(Store, cls(below, documents))

    def get(self, kind: type[R], name: str, *, namespace: str = "") -> R:
        """As Store says."""
        found = self._documents.get(Key(kind.KIND, namespace, name))
        return cast(R, found) if found is not None else self._below.get(kind, name, namespace=namespace)

    def list(self, kind: type[R]) -> Listing[R]:
        """All objects of the kind. Documents that the store does not have yet come last."""
        below = self._below.list(kind)
        known = {item.key for item in below.items}
        items = [cast(R, self._documents.get(item.key, item)) for item in below.items]
        new = [cast(R, document) for key, document in self._documents.items() if key.kind == kind.KIND and key not in known]
        return Listing((*items, *new), below.version)
