"""The controller dies at every call that it makes to a host or a guest, before or after it took effect, and starts again.

Finer than the crash matrix (tests/crashes), which kills after every step: whatever the call, the VM gets Ready, its deletion
completes, nothing leaks, and the history of its GPU has one entry, which tells of a reset, a scrub and a verification.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.drivers.simulated.timing import Timing
from provisioner.model.errors import HypervisorError
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_history import Outcome
from tests.lifecycle.world import World, vm_yaml

HOUR_S = 3600.0
SHORT = Timing(address=(2.0, 3.0), ssh=(1.0, 2.0), cloud_init=(2.0, 3.0), shutdown=(1.0, 2.0))
"""Boots in which each wait is polled a few times: every further poll is the same moment again."""


class Crash(BaseException):
    """The process is gone: nothing below may catch it."""


def _survives(world: World, done: Callable[[], bool]) -> None:
    """Drive until done, with a fresh controller after every crash."""
    for _ in range(3):
        try:
            assert world.controller.run_until(done, timeout_s=6 * HOUR_S), world.summary()
        except Crash:
            world.start_controller()
        else:
            return
    pytest.fail("it crashed more often than was staged")


def _world(directory: Path) -> World:
    return World(directory, timing=SHORT).host("a").configure("a", scrub_command="clear {address}").settle()


def _calls_of(directory: Path, story: Callable[[World, Callable[[], bool] | None], None]) -> list[str]:
    world = _world(directory)
    world.fleet.calls.clear()
    story(world, None)
    return [call.name for call in world.fleet.calls]


def _creates(world: World, _: object = None) -> None:
    world.apply(vm_yaml("first"))
    _survives(world, lambda: world.is_ready("first"))


def _deletes(world: World, _: object = None) -> None:
    world.delete("first")
    _survives(world, lambda: not world.exists("first") and not world.store.list(GPUClaim).items)


def _was_cleaned_once(world: World) -> bool:
    entries = [entry for history in world.histories() for entry in history.status.entries]
    return [(entry.outcome, entry.cleaning.reset, entry.cleaning.scrub[:4]) for entry in entries] == [
        (Outcome.FREE, "done by flr", "done")
    ]


def _crash_at(world: World, number: int, *, takes_effect: bool) -> None:
    world.fleet.faults.stage(Fault(Crash(), skip=number, takes_effect=takes_effect))


@pytest.mark.parametrize("takes_effect", [False, True], ids=["before", "after"])
def test_a_crash_at_any_call_of_a_creation(tmp_path: Path, takes_effect: bool) -> None:
    calls = _calls_of(tmp_path, _creates)
    assert len(calls) > 20
    for number, name in enumerate(calls):
        world = _world(tmp_path)
        _crash_at(world, number, takes_effect=takes_effect)
        _creates(world)
        assert world.vm("first").status.consecutive_failures == 0, f"call {number}, {name}"
        world.fleet.faults.clear()
        _deletes(world)
        assert world.leaks() == [], f"call {number}, {name}"
        assert _was_cleaned_once(world), f"call {number}, {name}"


@pytest.mark.parametrize("takes_effect", [False, True], ids=["before", "after"])
def test_a_crash_at_any_call_of_a_deletion(tmp_path: Path, takes_effect: bool) -> None:
    world = _world(tmp_path)
    _creates(world)
    world.fleet.calls.clear()
    _deletes(world)
    calls = [call.name for call in world.fleet.calls]
    assert len(calls) > 5
    for number, name in enumerate(calls):
        world = _world(tmp_path)
        _creates(world)
        _crash_at(world, number, takes_effect=takes_effect)
        _deletes(world)
        assert world.leaks() == [], f"call {number}, {name}"
        assert _was_cleaned_once(world), f"call {number}, {name}"


def test_a_crash_between_claim_and_status_uses_the_claim_again(tmp_path: Path) -> None:
    world = World(tmp_path).host("a").settle()
    world.fleet.faults.stage(Fault(HypervisorError("held"), call="images.fetch"))
    world.apply(vm_yaml("first"))
    world.run(lambda: world.condition("first", "ImageReady") is not None)
    vm = world.vm("first")
    world.store.update_status(vm.with_status(host="", gpus=(), conditions=(), steps=()))
    world.start_controller()
    world.settle()
    assert world.is_ready("first")
    _deletes(world)
    assert world.leaks() == []
