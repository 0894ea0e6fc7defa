"""Retired GPUs: never handed out again, kept by who has them, and back only through the check."""

from __future__ import annotations

from provisioner.lifecycle.quarantine import quarantine
from provisioner.model.metadata import find_condition
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, RunStrategy
from tests.lifecycle.test_gpu_release import FIRST, change_spec, host_of, quarantined, release
from tests.lifecycle.world import World, vm_yaml

SECOND = "0000:42:00.0"


def test_a_retired_gpu_is_given_to_nobody(world: World) -> None:
    world.host("a", gpus=2).settle()
    change_spec(world, retired=(FIRST,))
    world.apply(vm_yaml("first")).run(lambda: world.is_ready("first"))
    assert [gpu.address for gpu in world.vm("first").status.gpus] == [SECOND]
    world.apply(vm_yaml("second")).pass_time(900)
    why = find_condition(world.vm("second").status.conditions, "Scheduled")
    assert why is not None and "1 retired" in why.message


def test_a_vm_that_has_it_keeps_it_until_it_stops(world: World) -> None:
    world.host("a", gpus=2).apply(vm_yaml("first")).settle()
    booted = world.vm("first").status.boot_id
    change_spec(world, retired=(FIRST,))
    world.pass_time(900)
    assert world.is_ready("first")
    assert world.vm("first").status.boot_id == booted
    assert [gpu.address for gpu in world.vm("first").status.gpus] == [FIRST]
    world.edit("first", run_strategy=RunStrategy.HALTED).run(lambda: world.vm("first").status.phase == "Stopped")
    world.edit("first", run_strategy=RunStrategy.ALWAYS).run(lambda: world.is_ready("first"))
    assert [gpu.address for gpu in world.vm("first").status.gpus] == [SECOND]


def test_a_restart_takes_another(world: World) -> None:
    world.host("a", gpus=2).apply(vm_yaml("first")).settle()
    change_spec(world, retired=(FIRST,))
    world.annotate("first", REQUEST_ANNOTATION, "restart:1")
    world.run(lambda: [gpu.address for gpu in world.vm("first").status.gpus] == [SECOND] and world.is_ready("first"))


def test_a_file_that_forgets_it_does_not_bring_it_back_unchecked(world: World) -> None:
    world.host("a").settle()
    change_spec(world, retired=(FIRST,))
    world.run(lambda: host_of(world).status.retired == (FIRST,), timeout_s=30)
    world.apply(vm_yaml("first")).pass_time(60)
    change_spec(world, retired=())
    world.pass_time(900)
    assert not world.is_ready("first"), "not even in the moment before the host's own pass"
    assert quarantined(world)[FIRST].cause == "Retired"
    assert host_of(world).status.retired == ()
    assert release(world).state == "Passed"
    world.run(lambda: world.is_ready("first"))


def test_the_reason_of_an_earlier_quarantine_stays(world: World) -> None:
    world.host("a").settle()
    quarantine(world.ports, host="a", address=FIRST, reason="it made noises", cause="Operator")
    change_spec(world, retired=(FIRST,))
    world.pass_time(60)
    change_spec(world, retired=())
    world.pass_time(60)
    assert quarantined(world)[FIRST].reason == "it made noises"
