"""Readers of explicit sizes: `resources: {cpu, sockets, memory}`. An empty text is no value, as the documents show it."""

from __future__ import annotations

from provisioner.model.door import scalars
from provisioner.model.door.nodes import ScalarNode
from provisioner.model.door.places import Place, fields_of
from provisioner.model.virtual_machine import Resources

MOST_CPUS = 1024
MOST_MEMORY = "32Ti"


def read_resources(place: Place | None) -> Resources:
    """CPU, sockets and memory of a VM, each of them optional."""
    fields = fields_of(place, ("cpu", "sockets", "memory"))
    return Resources(
        cpu=scalars.whole_quantity(fields.get("cpu"), most=MOST_CPUS),
        sockets=scalars.whole_quantity(fields.get("sockets"), most=16),
        memory=memory(fields.get("memory")),
    )


def memory(place: Place | None) -> str | None:
    """An amount of memory, or None where nothing is said."""
    if place is None or (isinstance(place.node, ScalarNode) and place.node.text == ""):
        return None
    return scalars.size(place, "", least="64Mi", most=MOST_MEMORY) or None
