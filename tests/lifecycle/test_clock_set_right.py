"""A clock that was hours ahead wrote times, and was set right: nobody waits until it is that late."""

from __future__ import annotations

import pytest

from provisioner.model.clock import timestamp
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import StepRecord
from provisioner.model.virtual_machine import Phase, RunStrategy
from tests.lifecycle.world import World, vm_yaml

AHEAD_S = 6 * 3600.0
SOON_S = 900.0


def ahead(world: World) -> str:
    return timestamp(world.clock.now_s() + AHEAD_S)


def test_the_next_attempt_is_not_put_off(world: World) -> None:
    world.host("a").settle()
    world.apply(vm_yaml("first")).run(lambda: world.exists("first"))
    world.store.update_status(world.vm("first").with_status(retry_after=ahead(world), consecutive_failures=1))
    world.run(lambda: world.is_ready("first"), timeout_s=SOON_S)


def test_a_pause_that_is_due_in_a_while_is_kept(world: World) -> None:
    world.host("a").settle()
    world.apply(vm_yaml("first")).run(lambda: world.exists("first"))
    due = timestamp(world.clock.now_s() + 200.0)
    world.store.update_status(world.vm("first").with_status(retry_after=due, consecutive_failures=1))
    world.pass_time(150.0)
    assert (world.vm("first").status.phase, world.vm("first").status.retry_after) == (Phase.PENDING, due)


def test_a_stop_does_not_wait_for_the_guest_until_then(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).run(lambda: world.is_ready("first"))
    world.fleet.host("a").behave(heeds_shutdown=False)
    world.edit("first", run_strategy=RunStrategy.HALTED).run(lambda: world.vm("first").status.phase is Phase.STOPPING)
    world.store.update_status(world.vm("first").with_status(stopping_since=ahead(world)))
    world.run(lambda: world.vm("first").status.phase is Phase.STOPPED, timeout_s=SOON_S)


def test_a_host_is_looked_at_by_its_own_period(world: World) -> None:
    world.host("a").settle()
    host = world.store.get(GPUHost, "a")
    world.store.update_status(host.with_status(last_seen=ahead(world), examined=ahead(world)))
    world.run(lambda: world.store.get(GPUHost, "a").status.last_seen < ahead(world), timeout_s=SOON_S)
    assert world.store.get(GPUHost, "a").status.last_seen <= world.ports.now()


def test_a_step_gets_its_time_from_now_on(world: World) -> None:
    world.host("a").settle()
    world.fleet.host("a").behave(answers_ssh=False)
    world.apply(vm_yaml("first")).run(lambda: world.vm("first").status.phase is Phase.BOOTING)
    found = world.vm("first").status.steps
    steps = tuple(each if each.finished else StepRecord(name=each.name, started=ahead(world)) for each in found)
    world.store.update_status(world.vm("first").with_status(steps=steps))
    world.run(lambda: world.vm("first").status.consecutive_failures > 0, timeout_s=3600.0)


@pytest.mark.parametrize("moment", ["", "ahead"])
def test_nobody_knows_the_age_of_what_lies_ahead(world: World, moment: str) -> None:
    assert world.ports.age_s(ahead(world) if moment else "") == float("inf")
    assert world.ports.age_s(timestamp(world.clock.now_s() - 5.0)) == pytest.approx(5.0)
