"""The tree of a document that came as data, from an API server, and was never text of a file.

Numbers and booleans become the plain scalars that YAML would have for them, text stays text, whatever it looks like. There are
no positions: every node says that it stands at the beginning. The size is bounded by whoever keeps the data.
"""

from __future__ import annotations

import json
from typing import Any

from provisioner.model.door.nodes import Entry, ListNode, MapNode, Node, Position, ScalarNode

NOWHERE = Position(1, 1)


def node_of(data: Any) -> Node:
    """The node for what JSON can hold."""
    if isinstance(data, dict):
        return MapNode(tuple(Entry(str(key), NOWHERE, node_of(value)) for key, value in data.items()), NOWHERE)
    if isinstance(data, list | tuple):
        return ListNode(tuple(map(node_of, data)), NOWHERE)
    if isinstance(data, str):
        return ScalarNode(data, NOWHERE, style="quoted")
    return ScalarNode("" if data is None else json.dumps(data), NOWHERE)
