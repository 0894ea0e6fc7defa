"""A place in a document: a node, the path to it, and where to report what is wrong with it.

Readers take a Place (or None where the field is absent) and give a value back. On a mistake they note it and give back what a
document without the field would have had, so that one mistake never makes two.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from provisioner.model.door.mistakes import Findings, Mistake
from provisioner.model.door.nodes import Entry, ListNode, MapNode, Node, Position, ScalarNode, describe, shown
from provisioner.model.suggestions import nearest

_NO_HINTS: Mapping[str, str] = {}
_SIMPLE_KEY = re.compile(r"[A-Za-z0-9_-]{1,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reader stands."""

    node: Node
    path: str
    position: Position
    """Of a scalar itself; of a list or mapping, the key that it belongs to."""
    document: int
    findings: Findings

    def mistake(self, message: str, *, allowed: Iterable[str] = (), did_you_mean: str | None = None) -> None:
        """Note what is wrong here."""
        self.findings.note(self._finding(message, allowed, did_you_mean))

    def warn(self, message: str, *, allowed: Iterable[str] = (), did_you_mean: str | None = None) -> None:
        """Note what is accepted and worth knowing."""
        self.findings.note(self._finding(message, allowed, did_you_mean), warning=True)

    def child(self, entry: Entry) -> Place:
        """The place of a mapping's value."""
        plain = isinstance(entry.value, ScalarNode) and not entry.value.is_null
        position = entry.value.position if plain else entry.position
        return Place(entry.value, _join(self.path, entry.key), position, self.document, self.findings)

    def on_line(self, position: Position) -> Place:
        """The same place, reported at another position (a line inside a block)."""
        return replace(self, position=position)

    def _finding(self, message: str, allowed: Iterable[str], did_you_mean: str | None) -> Mistake:
        return Mistake(self.findings.file, self.position, self.document, self.path, message, tuple(allowed), did_you_mean or "")


def fields_of(
    place: Place | None, known: Collection[str], *, ignored: Collection[str] = (), hints: Mapping[str, str] = _NO_HINTS
) -> dict[str, Place]:
    """The fields of a mapping that have a value, by name; an unknown key is a mistake with a suggestion.

    `null` is as good as absent, as in Kubernetes. `ignored` keys are accepted and left out. `hints` says of some unknown keys
    what to write instead.
    """
    found: dict[str, Place] = {}
    for entry in _entries(place):
        assert place is not None
        if entry.key in known:
            if not (isinstance(entry.value, ScalarNode) and entry.value.is_null):
                found[entry.key] = place.child(entry)
        elif entry.key not in ignored:
            hint = f": {hints[entry.key]}" if entry.key in hints else ""
            there = place.child(entry).on_line(entry.position)
            suggestion = None if hint else nearest(entry.key, known)
            there.mistake(f"unknown field {shown(entry.key)}{hint}", allowed=known, did_you_mean=suggestion)
    return found


def is_missing(place: Place, fields: Mapping[str, Place], name: str, *, instead: Collection[str] = ()) -> bool:
    """Whether a required field is absent, and nothing noted already says so.

    That is: it is not misspelt, no key of `instead` stands for it, and the place is a mapping at all.
    """
    if name in fields:
        return False
    if isinstance(place.node, MapNode):
        others = [entry.key for entry in place.node.entries if entry.key not in fields]
        return name in others or not (nearest(name, others) or set(instead) & set(others))
    return isinstance(place.node, ScalarNode) and place.node.is_null


def members_of(place: Place | None) -> Iterator[tuple[str, Place]]:
    """Every key of a free mapping with its value's place, empty values included."""
    for entry in _entries(place):
        assert place is not None
        yield entry.key, place.child(entry)


def items_of(place: Place | None, *, of_what: str, most: int = 1_000) -> list[Place]:
    """The items of a list; anything else than a list is a mistake, and so are more than `most`."""
    if place is None:
        return []
    if not isinstance(place.node, ListNode):
        place.mistake(f"must be a list of {of_what}, not {describe(place.node)}")
        return []
    if len(place.node.items) > most:
        place.mistake(f"at most {most} {of_what}, not {len(place.node.items)}")
        return []
    return [
        Place(item, f"{place.path}[{number}]", item.position, place.document, place.findings)
        for number, item in enumerate(place.node.items)
    ]


def refuse_repeated(named: Iterable[tuple[str, Place]], *, what: str) -> None:
    """That no name is listed twice; empty names are of no concern."""
    seen: set[str] = set()
    for name, place in named:
        if name and name in seen:
            place.mistake(f"{what} {shown(name)} is listed twice")
        seen.add(name)


def is_empty(place: Place | None) -> bool:
    """Whether a list is absent or has no items; what is no list is not empty, but wrong."""
    return place is None or (isinstance(place.node, ListNode) and not place.node.items)


def _entries(place: Place | None) -> tuple[Entry, ...]:
    if place is None or (isinstance(place.node, ScalarNode) and place.node.is_null):
        return ()
    if not isinstance(place.node, MapNode):
        place.mistake(f"must be a mapping (key: value), not {describe(place.node)}")
        return ()
    return place.node.entries


def _join(path: str, key: str) -> str:
    if not _SIMPLE_KEY.fullmatch(key):
        return f"{path}[{shown(key)}]"
    return f"{path}.{key}" if path else key
