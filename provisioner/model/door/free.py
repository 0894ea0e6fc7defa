"""Readers of data that is not ours: Helm values and volumes, kept as JSON would have them.

Plain scalars mean what YAML 1.2 says: null, true and false, decimal numbers; everything else is text.
"""

from __future__ import annotations

import re
from typing import Any

from provisioner.model.door.nodes import ListNode, MapNode, Node, ScalarNode
from provisioner.model.door.places import Place, items_of

_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]{0,18})", re.ASCII)
_FLOAT = re.compile(r"[+-]?([0-9]{1,20}\.[0-9]{0,20}|\.[0-9]{1,20}|[0-9]{1,20}(?=[eE]))([eE][+-]?[0-9]{1,2})?", re.ASCII)
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def free_mapping(place: Place | None) -> dict[str, Any]:
    """A mapping with anything in it."""
    if place is None:
        return {}
    if not isinstance(place.node, MapNode):
        place.mistake("must be a mapping (key: value)")
        return {}
    return {entry.key: plain(entry.value) for entry in place.node.entries}


def free_mappings(place: Place | None) -> tuple[dict[str, Any], ...]:
    """A list of such mappings."""
    return tuple(free_mapping(item) for item in items_of(place, of_what="mappings", most=100))


def plain(node: Node) -> Any:
    """A node as JSON data."""
    if isinstance(node, MapNode):
        return {entry.key: plain(entry.value) for entry in node.entries}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return _value(node)


def _value(node: ScalarNode) -> Any:
    if node.is_null:
        return None
    if node.is_text:
        return node.text
    if node.text in _BOOLEANS:
        return _BOOLEANS[node.text]
    if _INTEGER.fullmatch(node.text):
        return int(node.text)
    return float(node.text) if _FLOAT.fullmatch(node.text) else node.text
