"""Whether a thing that only one may have is had by two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def shared(had: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    """Of pairs (thing, who has it): each thing with the first that has it and another one."""
    owners: dict[str, str] = {}
    for thing, owner in had:
        first = owners.setdefault(thing, owner)
        if first != owner:
            yield thing, first, owner
