"""From text to nodes: the event stream of the YAML parser, walked once, with a limit on everything that grows.

No object is ever built from a tag, and nothing is resolved. The parser streams, so a limit stops it where it is passed: depth,
number of nodes with aliases expanded, documents, lengths. What cannot be read (syntax, a limit) ends the reading of the file
with one mistake; what can be read and is wrong (a duplicate key, a tag, a list as a key) is noted and the reading goes on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from provisioner.model.door.mistakes import Findings, Mistake
from provisioner.model.door.nodes import Entry, ListNode, MapNode, Node, Position, ScalarNode, Style, shown
from provisioner.model.door.syntax import note_syntax, why_no_key

_CORE = "tag:yaml.org,2002:"
_SCALAR_TAGS = frozenset({"str", "int", "float", "bool", "null"})
_STYLES: dict[str | None, Style] = {"'": "quoted", '"': "quoted", "|": "literal", ">": "folded"}
_UNPRINTABLE = re.compile("[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one file may ask of us; characters where nothing else is said."""

    file: int = 4 * 1024**2
    document: int = 1024**2
    line: int = 256 * 1024
    documents: int = 1_000
    directives: int = 20
    nesting: int = 40
    nodes: int = 20_000
    """In one document, every alias expanded."""
    nodes_in_file: int = 200_000


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a text may do beyond plain values."""

    more_tags: frozenset[str] = frozenset()
    """Core tags that are let through unread, such as `binary`."""
    warns_of_repeated_keys: bool = False
    """Whether a repeated key is only a warning."""


OURS = Dialect()
SAFE_LOADER = Dialect(frozenset({"binary", "timestamp", "set", "omap", "pairs"}), warns_of_repeated_keys=True)
"""What Python's `yaml.safe_load` accepts, and with it cloud-init."""


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document of a file that is not empty."""

    index: int
    """Counts from 1, empty documents included, as an editor shows them."""
    root: Node


class _CannotGoOn(Exception):
    """The file cannot be read any further; what is wrong is already noted."""


def read_documents(
    text: str, findings: Findings, *, limits: Limits = DEFAULT_LIMITS, dialect: Dialect = OURS
) -> list[YamlDocument]:
    """Every document up to the first place that cannot be read; mistakes go to `findings`."""
    if not _is_readable(text, findings, limits):
        return []
    composer = _Composer(text, findings, limits, dialect)
    try:
        composer.read()
    except _CannotGoOn:
        pass
    except yaml.YAMLError as error:
        note_syntax(error, findings, document=composer.index)
    return composer.documents


class _Composer:
    """Builds nodes from events. One use only."""

    def __init__(self, text: str, findings: Findings, limits: Limits, dialect: Dialect) -> None:
        self.documents: list[YamlDocument] = []
        self.index = 0
        self._loader = _LOADER(text)
        self._findings = findings
        self._limits = limits
        self._dialect = dialect
        self._anchors: dict[str, Node | None] = {}
        self._count = 0
        self._count_in_file = 0
        self._start = 0

    def read(self) -> None:
        while self._loader.check_event():
            event = self._loader.get_event()
            if isinstance(event, yaml.DocumentStartEvent):
                self._document(event)

    def _document(self, start: Any) -> None:
        self.index += 1
        if self.index > self._limits.documents:
            self._stop(self._position(start), f"more than {self._limits.documents:,} documents in one file")
        self._anchors, self._count, self._start = {}, 0, start.start_mark.index
        root = self._node(self._loader.get_event(), depth=1)
        end = self._loader.get_event()
        self._check_length(end)
        if not (isinstance(root, ScalarNode) and root.is_null):
            self.documents.append(YamlDocument(self.index, root))

    def _node(self, event: Any, *, depth: int) -> Node:
        if depth > self._limits.nesting:
            self._stop(self._position(event), f"nested deeper than {self._limits.nesting} levels")
        self._check_length(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        self._grow(event, 1)
        if event.anchor:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node: Node = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._list(event, depth)
        else:
            node = self._map(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any, depth: int) -> Node:
        target = self._anchors.get(event.anchor)
        if target is None:
            what = "contains itself" if event.anchor in self._anchors else "is not defined before this line"
            self._note(self._position(event), f"the alias *{event.anchor[:60]} {what}")
            return ScalarNode("", self._position(event))
        self._grow(event, target.count)
        if depth + target.height > self._limits.nesting:
            self._stop(self._position(event), f"nested deeper than {self._limits.nesting} levels by an alias")
        return target

    def _scalar(self, event: Any) -> ScalarNode:
        tag = self._tag(event, _SCALAR_TAGS)
        return ScalarNode(
            event.value, self._position(event), _STYLES.get(event.style, "plain"), "str" if event.tag == "!" else tag
        )

    def _list(self, start: Any, depth: int) -> ListNode:
        self._tag(start, frozenset({"seq"}))
        items: list[Node] = []
        while not isinstance(event := self._loader.get_event(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth=depth + 1))
        return ListNode(tuple(items), self._position(start), *_measure(items))

    def _map(self, start: Any, depth: int) -> Node:
        self._tag(start, frozenset({"map"}))
        entries: dict[str, Entry] = {}
        merged: list[Node] = []
        has_wrong_keys = False
        while not isinstance(event := self._loader.get_event(), yaml.MappingEndEvent):
            key = self._node(event, depth=depth + 1)
            value = self._node(self._loader.get_event(), depth=depth + 1)
            if not isinstance(key, ScalarNode):
                self._note(key.position, why_no_key(self._findings, key))
                has_wrong_keys = True
            elif key.text == "<<" and key.style == "plain" and not key.tag:
                merged.append(value)
            elif first := entries.get(key.text):
                message = f"the key {shown(key.text)} is given twice, first on line {first.position.line}"
                self._note(key.position, message, warning=self._dialect.warns_of_repeated_keys)
            else:
                entries[key.text] = Entry(key.text, key.position, value)
        for source in merged:
            self._merge(source, entries)
        if has_wrong_keys and not entries:
            return ScalarNode("", self._position(start))  # noted already; the field counts as absent
        return MapNode(tuple(entries.values()), self._position(start), *_measure([entry.value for entry in entries.values()]))

    def _merge(self, source: Node, entries: dict[str, Entry]) -> None:
        sources = source.items if isinstance(source, ListNode) else (source,)
        for part in sources:
            if not isinstance(part, MapNode):
                self._note(part.position, "<< merges a mapping or a list of mappings into this one, nothing else")
                continue
            for entry in part.entries:
                entries.setdefault(entry.key, entry)

    def _tag(self, event: Any, allowed: frozenset[str]) -> str:
        """The core tag of a node; every other one is a mistake, and never obeyed."""
        if event.tag is None or event.tag == "!":
            return ""
        name = str(event.tag).removeprefix(_CORE)
        if event.tag.startswith(_CORE) and (name in allowed or name in self._dialect.more_tags):
            return name
        self._note(self._position(event), f"the tag {shown(event.tag)} is not allowed; write the value without a tag")
        return ""

    def _grow(self, event: Any, count: int) -> None:
        self._count += count
        self._count_in_file += count
        if self._count > self._limits.nodes:
            self._stop(self._position(event), f"more than {self._limits.nodes:,} values in one document, aliases expanded")
        if self._count_in_file > self._limits.nodes_in_file:
            self._stop(self._position(event), f"more than {self._limits.nodes_in_file:,} values in one file")

    def _check_length(self, event: Any) -> None:
        if event.end_mark.index - self._start > self._limits.document:
            self._stop(self._position(event), f"a document is longer than {self._limits.document:,} characters")

    def _position(self, event: Any) -> Position:
        return self._findings.position(event.start_mark.line + 1, event.start_mark.column + 1)

    def _note(self, position: Position, message: str, *, warning: bool = False) -> None:
        self._findings.note(Mistake(self._findings.file, position, self.index, "", message), warning=warning)

    def _stop(self, position: Position, message: str) -> None:
        self._note(position, message)
        raise _CannotGoOn


def _measure(children: list[Node]) -> tuple[int, int]:
    return 1 + sum(child.count for child in children), 1 + max((child.height for child in children), default=0)


def _is_readable(text: str, findings: Findings, limits: Limits) -> bool:
    """Whether the text may be given to the parser at all."""
    if len(text) > limits.file:
        findings.at(Position(1, 1), f"the file is longer than {limits.file:,} characters")
        return False
    if found := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        findings.at(
            findings.position(line, column), f"the character U+{ord(found[0]):04X} cannot stand in YAML; is this a text file?"
        )
        return False
    for number, line_text in enumerate(findings.lines, start=1):
        if len(line_text) > limits.line:
            findings.at(findings.position(number, 1), f"the line is longer than {limits.line:,} characters")
            return False
    if sum(line_text.startswith("%") for line_text in findings.lines) > limits.directives:
        findings.at(Position(1, 1), f"more than {limits.directives} lines begin with %, as YAML directives do")
        return False
    return True
