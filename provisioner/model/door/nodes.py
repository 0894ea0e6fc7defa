"""The tree of a YAML document as it was written: text, style and position of every node, and nothing resolved.

YAML 1.1 would turn `1234:1111` into a number and `off` into false; here a scalar keeps its text, and the reader of a field
decides what it means. Positions count from 1. A node below an alias or a merge key is shared, so its position is where it was
written, not where it was used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Style = Literal["plain", "quoted", "literal", "folded"]
_NULL_WORDS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class Position:
    """Line and column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """One value that is neither list nor mapping."""

    text: str
    position: Position
    style: Style = "plain"
    tag: str = ""
    """The core tag that was written (`str`, `int`, …); empty: none."""
    count: int = 1
    height: int = 0

    @property
    def is_null(self) -> bool:
        """Whether it stands for no value."""
        return self.tag == "null" or (not self.tag and self.style == "plain" and self.text in _NULL_WORDS)

    @property
    def is_text(self) -> bool:
        """Whether it was written as a string on purpose: quoted, a block, or tagged so."""
        return self.tag == "str" or (not self.tag and self.style != "plain")


@dataclass(frozen=True, slots=True)
class ListNode:
    """A sequence."""

    items: tuple[Node, ...]
    position: Position
    count: int = 1
    """How many nodes it stands for with every alias expanded, itself included."""
    height: int = 1
    """How many levels are below it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping with its value."""

    key: str
    position: Position
    value: Node


@dataclass(frozen=True, slots=True)
class MapNode:
    """A mapping; keys are unique, in the order written, merged ones last."""

    entries: tuple[Entry, ...]
    position: Position
    count: int = 1
    height: int = 1

    def get(self, key: str) -> Node | None:
        """The value of a key, or None."""
        return next((entry.value for entry in self.entries if entry.key == key), None)


Node: TypeAlias = ScalarNode | ListNode | MapNode


def describe(node: Node) -> str:
    """What the node is, in the words of a message: `a list`, `the text "yes"`, `12`."""
    if isinstance(node, ListNode):
        return "a list"
    if isinstance(node, MapNode):
        return "a mapping"
    if node.is_null:
        return "nothing"
    return f"the text {shown(node.text)}" if node.is_text else shown(node.text)


def shown(text: str, limit: int = 60) -> str:
    """A value from outside, fit to be printed: quoted, shortened, control characters escaped."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return '"' + "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut) + '"'
