"""What complete lists were parsed into, so that a document that has not changed since is not parsed again.

Placement lists every VM, claim and host for each VM that it places, and parsing is nearly all that this costs. The text of a
document is the key, so what is found is right by construction. Resources are values and may be shared. Of each kind the
documents of the newest complete list are kept, and nothing else. Threads may share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from provisioner.model.metadata import Resource

R = TypeVar("R", bound="Resource")


class Parsed:
    """Documents with their objects, by kind."""

    def __init__(self) -> None:
        self._by_kind: dict[str, dict[str, Any]] = {}

    def objects(self, kind: type[R], documents: Sequence[str], *, parse: Callable[[str], R]) -> tuple[R, ...]:
        """The objects of a complete list, in its order."""
        known: dict[str, R] = self._by_kind.get(kind.KIND, {})
        found = {document: known.get(document) or parse(document) for document in documents}
        self._by_kind[kind.KIND] = found
        return tuple(found.values())
