"""A host that goes away under a Ready VM: the VM says so, keeps what it has, and is right again when the host is back."""

from __future__ import annotations

import pytest

from provisioner.lifecycle.virtual_machine.host_condition import HOST_REACHABLE
from provisioner.model.virtual_machine import Phase
from tests.lifecycle.world import World, vm_yaml


@pytest.fixture
def running(world: World) -> World:
    world.host("a").settle()
    return world.apply(vm_yaml("first")).settle()


def host_condition(world: World) -> str:
    found = world.condition("first", HOST_REACHABLE)
    return found.status if found is not None else ""


def test_a_vm_whose_host_never_went_away_says_nothing_of_it(running: World) -> None:
    running.pass_time(600)
    assert host_condition(running) == ""


def test_a_network_that_breaks_and_is_mended_leaves_the_vm_alone(running: World) -> None:
    booted, host = running.vm("first").status.boot_id, running.fleet.host("a")
    host.set_link("down")
    running.run(lambda: host_condition(running) == "False", timeout_s=30)
    vm = running.vm("first")
    assert (vm.status.phase, vm.status.host) == (Phase.READY, "a"), "nobody knows; what was last seen stays"
    found = running.condition("first", HOST_REACHABLE)
    assert found is not None and found.reason == "HostUnreachable" and "cannot be reached" in found.message
    version = vm.metadata.resource_version
    running.pass_time(600)
    assert running.vm("first").metadata.resource_version == version, "told once, not with every look"
    host.set_link("up")
    running.run(lambda: host_condition(running) == "True", timeout_s=330)
    assert running.vm("first").status.boot_id == booted


def test_a_power_cut_ends_the_vm_and_it_starts_again_with_its_host(running: World) -> None:
    booted, host = running.vm("first").status.boot_id, running.fleet.host("a")
    host.set_link("down")
    host.reboot()
    running.run(lambda: host_condition(running) == "False", timeout_s=30)
    host.set_link("up")
    running.run(lambda: running.vm("first").status.boot_id not in ("", booted), timeout_s=600)
    running.settle()
    assert running.is_ready("first")
    assert host_condition(running) == "True"
