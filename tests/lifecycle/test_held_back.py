"""While leading is in doubt, or the store is away, passes wait; when that is over, all of them go on within seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.lifecycle.assembly import controller_of
from provisioner.lifecycle.held_back import BACK_MOST_S, PROBE_S, HeldBack, is_held_by
from provisioner.model.errors import ControllerBusy, HikubeError, HostUnreachable, SecretsLocked, StoreUnavailable
from provisioner.model.metadata import Key
from provisioner.store.fenced import FencedStore
from tests.lifecycle.world import World, vm_yaml

MACHINES = 12
DOUBT_S = 1_800.0


def key(name: str) -> Key:
    return Key("VirtualMachine", "default", name)


@pytest.mark.parametrize("error", [ControllerBusy("in doubt"), StoreUnavailable("away")])
def test_after_a_long_doubt_every_object_is_looked_at_within_seconds(tmp_path: Path, error: HikubeError) -> None:
    world = World(tmp_path).host("a", gpus=MACHINES)
    trouble: list[HikubeError] = [error]
    refused: list[float] = []

    def fence() -> None:
        if trouble:
            refused.append(world.clock.monotonic_s())
            raise trouble[0]

    ports = replace(world.ports, store=FencedStore(world.store, fence))
    controller = controller_of(ports, workers=0)
    for number in range(MACHINES):
        world.apply(vm_yaml(f"vm-{number}"))
    controller.run_until(lambda: False, timeout_s=DOUBT_S)
    assert not any(vm.metadata.finalizers for vm in world.machines())
    assert len(refused) < 3 * DOUBT_S / PROBE_S, "it hammers on"
    trouble.clear()
    controller.run_until(lambda: False, timeout_s=PROBE_S + BACK_MOST_S)
    assert all(vm.metadata.finalizers for vm in world.machines())


class TestHeldBack:
    def test_the_first_is_tried_and_the_others_come_with_it(self) -> None:
        held = HeldBack()
        assert held.hold(key("a")) == PROBE_S
        assert held.hold(key("b")) is None
        assert held.hold(key("a")) == PROBE_S
        assert [each for each, _ in held.got_through(key("a"))] == [key("b")]
        assert held.got_through(key("a")) == ()

    def test_another_one_that_gets_through_brings_all_back(self) -> None:
        held = HeldBack()
        held.hold(key("a"))
        held.hold(key("b"))
        assert [each for each, _ in held.got_through(key("c"))] == [key("b")]
        assert held.hold(key("b")) == PROBE_S

    def test_one_with_a_trouble_of_its_own_comes_back_more_and_more_slowly(self) -> None:
        held, pauses = HeldBack(), []
        for _ in range(8):
            held.hold(key("probe"))
            held.hold(key("sick"))
            pauses += [after_s for each, after_s in held.got_through(key("probe")) if each == key("sick")]
        assert pauses == sorted(pauses) and pauses[0] < pauses[-1] == BACK_MOST_S

    def test_what_is_about_the_object_is_none_of_it(self) -> None:
        assert is_held_by(ControllerBusy("in doubt")) and is_held_by(StoreUnavailable("away"))
        assert not is_held_by(SecretsLocked("no key")) and not is_held_by(HostUnreachable("away"))
