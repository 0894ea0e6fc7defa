"""Readers of how a VM is reached: ports that are open to the outside, and SSH keys."""

from __future__ import annotations

from provisioner.model.door import scalars
from provisioner.model.door.nodes import ScalarNode
from provisioner.model.door.placeholders import is_placeholder
from provisioner.model.door.places import Place, items_of, refuse_repeated
from provisioner.model.door.ssh_keys import problem_with_key

MOST_PORTS = 100
_LONGEST_KEY = 16 * 1024


def read_ports(place: Place | None) -> tuple[int, ...]:
    """Port numbers, each once; SSH alone where nothing is said."""
    if place is None:
        return (22,)
    named = [
        (scalars.integer(item, 0, least=1, most=65535), item)
        for item in items_of(place, of_what="port numbers", most=MOST_PORTS)
    ]
    refuse_repeated([(str(port) if port else "", item) for port, item in named], what="port")
    return tuple(port for port, _ in named)


def read_ssh_keys(place: Place | None) -> tuple[str, ...]:
    """Public keys, a line each."""
    keys: list[str] = []
    for item in items_of(place, of_what="SSH public keys", most=100):
        key = scalars.text(item, longest=_LONGEST_KEY).strip()
        is_noted = not isinstance(item.node, ScalarNode) or is_placeholder(item.node.text) or len(item.node.text) > _LONGEST_KEY
        if not is_noted and (problem := problem_with_key(key)):
            item.mistake(problem)
        keys.append(key)
    return tuple(keys)
