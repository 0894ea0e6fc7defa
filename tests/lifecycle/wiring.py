"""The networks of host a, for stories: what its operator sets up, what it remembers, and what VMs say of it."""

from __future__ import annotations

from typing import Any

from provisioner.model.gpu_host import GPUHost
from provisioner.model.network import Publication, publication_table
from tests.lifecycle.world import World

EXTERNAL = "  external: true\n  externalPorts: [22, 8888]\n"
WHOLE = "  external: true\n  externalMethod: WholeIP\n"
ON_BRIDGE = "  networks: [{name: public}]\n"


def settings(world: World, **changes: Any) -> World:
    """Change fields of host a's spec."""
    host = world.store.get(GPUHost, "a")
    world.store.update(host.model_copy(update={"spec": host.spec.model_copy(update=changes)}))
    return world


def wires(world: World) -> Any:
    """What host a remembers of its networks."""
    with world.fleet.host("a").peek() as state:
        return state.wires


def publication(world: World, name: str) -> Publication | None:
    """What host a lets in for that VM."""
    found: Publication | None = wires(world).publications.get(publication_table(f"hikube-default.{name}"))
    return found


def said(world: World, name: str) -> tuple[str, str, str]:
    """The condition Published of a VM."""
    found = world.condition(name, "Published")
    assert found is not None
    return found.status, found.reason, found.message
