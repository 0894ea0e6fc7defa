"""Tenants of one GPU, one after the other: what the stories about the time between them have in common."""

from __future__ import annotations

from provisioner.drivers.simulated.function_state import FunctionState
from provisioner.model.examination import AerCounts
from provisioner.model.gpu_history import GPUHistoryEntry
from tests.lifecycle.world import World, vm_yaml

GPU, AUDIO = "0000:41:00.0", "0000:41:00.1"
SCRUB = "clear-memory --gpu {address}"


def had_by_first(world: World) -> World:
    """A host with one GPU, and a VM that is Ready with it."""
    world.host("a")
    with world.fleet.host("a").peek() as state:
        state.functions[GPU].aer = AerCounts()
    return world.apply(vm_yaml("first")).settle()


def gone(world: World, name: str) -> World:
    return world.delete(name).run(lambda: not world.exists(name))


def entries(world: World) -> tuple[GPUHistoryEntry, ...]:
    (history,) = world.histories()
    return history.status.entries


def function(world: World, address: str) -> FunctionState:
    with world.fleet.host("a").peek() as state:
        return state.functions[address]


def why_pending(world: World, name: str) -> str:
    found = world.condition(name, "Scheduled")
    return found.reason if found is not None else ""
