"""What is wanted changes while something else is under way; what was begun is ended first, and nothing is lost on the way."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.lifecycle.fleet import snapshot
from provisioner.lifecycle.verdicts import Done
from provisioner.lifecycle.virtual_machine.reserve import reserve_gpus
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.errors import Conflict, HypervisorError
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, GpuRequest, Phase, RunStrategy
from tests.background_jobs import Jobs
from tests.lifecycle.world import World, vm_yaml

L40S = GpuRequest(name="nvidia.com/AD102GL_L40S")


def _told(world: World, condition: str) -> str:
    found = world.condition("first", condition)
    return found.reason if found is not None else ""


def _stop_that_takes_long(world: World) -> str:
    world.host("a").apply(vm_yaml("first")).settle()
    world.fleet.host("a").behave(heeds_shutdown=False)
    world.edit("first", run_strategy=RunStrategy.HALTED).pass_time(10)
    assert world.vm("first").status.phase is Phase.STOPPING
    return world.vm("first").status.boot_id


def test_halted_and_always_again_while_the_guest_is_still_powering_off(world: World) -> None:
    booted = _stop_that_takes_long(world)
    claim = world.store.list(GPUClaim).items[0].metadata.uid
    world.edit("first", run_strategy=RunStrategy.ALWAYS).pass_time(10)
    assert world.store.list(GPUClaim).items[0].metadata.uid == claim, "the domain runs, so its claim stays"
    world.run(lambda: world.is_ready("first") and world.vm("first").status.boot_id not in ("", booted))
    assert world.vm("first").status.stopping_since == ""
    assert not [event for event in world.store.events() if event.type == "Warning"], "a change of mind is no failure"
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.leaks() == []


def test_a_restart_that_meets_a_hiccup_keeps_its_gpu(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    claim = world.store.list(GPUClaim).items[0].metadata.uid
    world.fleet.faults.stage(Fault(HypervisorError("hiccup"), call="devices.restore"))
    world.annotate("first", REQUEST_ANNOTATION, "restart:1")
    world.run(lambda: world.vm("first").status.handled_request == "restart:1").settle()
    assert world.is_ready("first")
    assert world.store.list(GPUClaim).items[0].metadata.uid == claim


def test_a_restart_brings_a_completed_vm_back(world: World) -> None:
    world.host("a").apply(vm_yaml("first", extra="  runStrategy: Once\n")).settle()
    world.ports.connector.connect("simulated://a").domains.shutdown(world.vm("first").status.domain)
    world.run(lambda: world.vm("first").status.phase is Phase.STOPPED)
    world.annotate("first", REQUEST_ANNOTATION, "restart:1").run(lambda: world.is_ready("first"))


def test_a_start_that_is_asked_for_when_the_guest_has_just_ended(world: World) -> None:
    world.host("a").apply(vm_yaml("first", extra="  runStrategy: Manual\n")).annotate("first", REQUEST_ANNOTATION, "start:1")
    world.run(lambda: world.is_ready("first"))
    booted = world.vm("first").status.boot_id
    world.ports.connector.connect("simulated://a").domains.shutdown(world.vm("first").status.domain)
    world.run(lambda: world.vm("first").status.completed)
    world.annotate("first", REQUEST_ANNOTATION, "start:2")
    world.run(lambda: world.is_ready("first") and world.vm("first").status.boot_id not in ("", booted))


def test_gpus_changed_before_the_start_are_those_that_the_guest_gets(world: World) -> None:
    world.host("a", gpus=2).settle()
    world.fleet.faults.stage(Fault(HypervisorError("held"), call="domains.define", times=3))
    world.apply(vm_yaml("first"))
    world.run(lambda: (held := world.condition("first", "Defined")) is not None and "held" in held.message)
    world.edit("first", gpus=(L40S, L40S)).run(lambda: world.is_ready("first"))
    assert len(world.vm("first").status.gpus) == len(world.store.list(GPUClaim).items) == 2
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.leaks() == []


def test_a_size_changed_before_the_start_is_planned_again(world: World) -> None:
    world.host("a", memory_mib=24 * 1024).settle()
    world.fleet.faults.stage(Fault(HypervisorError("held"), call="domains.define", times=2))
    world.apply(vm_yaml("first", gpus=0))
    world.run(lambda: (held := world.condition("first", "Defined")) is not None and "held" in held.message)
    world.edit("first", instance_type="u1.4xlarge").settle()
    assert world.vm("first").status.phase is Phase.PENDING
    told = world.condition("first", "Scheduled")
    assert told is not None and told.reason == "InsufficientMemory"


def test_a_vm_that_was_never_ready_is_not_bound_to_its_host(world: World) -> None:
    world.host("a", gpus=1).settle()
    world.fleet.faults.stage(Fault(HypervisorError("held"), call="domains.define", times=4))
    world.apply(vm_yaml("first"))
    world.run(lambda: (held := world.condition("first", "Defined")) is not None and "held" in held.message)
    world.host("b", gpus=2)
    world.edit("first", gpus=(L40S, L40S)).run(lambda: world.is_ready("first"))
    assert world.vm("first").status.host == "b"
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.leaks() == []


def test_a_vm_without_gpus_that_moves_takes_its_domain_and_seed_along(world: World) -> None:
    world.host("a", memory_mib=24 * 1024).settle()
    world.fleet.faults.stage(Fault(HypervisorError("held"), call="domains.start", times=2))
    world.apply(vm_yaml("first", gpus=0)).run(lambda: _told(world, "Started") == "HypervisorError")
    world.host("b", memory_mib=256 * 1024)
    world.edit("first", instance_type="u1.4xlarge").run(lambda: world.is_ready("first"))
    assert world.vm("first").status.host == "b"
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.leaks() == []


def test_a_vm_that_starts_again_has_its_memory_from_the_moment_of_its_claim(world: World) -> None:
    world.host("a", gpus=1).apply(vm_yaml("first")).settle()
    world.edit("first", run_strategy=RunStrategy.HALTED).run(lambda: world.vm("first").status.phase is Phase.STOPPED)
    assert snapshot(world.store, world.tables).commitments == ()
    world.go_home().edit("first", run_strategy=RunStrategy.ALWAYS)
    assert isinstance(reserve_gpus(VirtualMachineView(world.vm("first"), world.ports)), Done)
    assert world.vm("first").status.phase is Phase.STOPPED, "the phase follows later"
    assert len(snapshot(world.store, world.tables).commitments) == 1


def test_a_refusal_of_the_hypervisor_is_told_and_slows_down(world: World) -> None:
    world.host("a").settle()
    refusal = Conflict("Domain cannot start", why="network 'default' is not active")
    world.fleet.faults.stage(Fault(refusal, call="domains.start", times=3))
    world.apply(vm_yaml("first")).run(lambda: _told(world, "Started") == "Conflict")
    told = world.condition("first", "Started")
    assert told is not None and "not active" in told.message
    world.run(lambda: world.is_ready("first"))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_vm_that_is_deleted_during_its_start_leaves_nothing(world: World, seed: int) -> None:
    jobs = Jobs(world.clock, Random(seed), at_once=0.0)
    world.ports = replace(world.ports, background=jobs)
    world.start_controller()
    world.host("a").run(lambda: bool(world.store.get(GPUHost, "a").status.kvm.works)).apply(vm_yaml("first"))
    world.run(lambda: _told(world, "Started") == "Starting")
    world.delete("first").run(lambda: not world.exists("first"))
    world.clock.advance(60)
    jobs.tick()
    assert world.leaks() == []
    calls = world.fleet.calls.names("domains.*")
    assert calls.index("domains.start") < calls.index("domains.undefine"), "what is being started is not undefined"


@pytest.mark.parametrize("strategy", [RunStrategy.HALTED, RunStrategy.ALWAYS])
def test_stopping_a_vm_that_boots(world: World, strategy: RunStrategy) -> None:
    world.host("a").apply(vm_yaml("first")).run(lambda: world.vm("first").status.phase is Phase.BOOTING)
    world.edit("first", run_strategy=RunStrategy.HALTED).pass_time(1)
    world.edit("first", run_strategy=strategy)
    wanted = Phase.STOPPED if strategy is RunStrategy.HALTED else Phase.READY
    world.run(lambda: world.vm("first").status.phase is wanted).go_home()
    assert bool(world.store.list(GPUClaim).items) is (wanted is Phase.READY)


def test_a_change_of_the_spec_while_a_last_failure_is_undone_is_tried(world: World) -> None:
    world.host("a").settle()
    world.fleet.host("a").behave(cloud_init="error")
    world.apply(vm_yaml("first")).run(lambda: world.vm("first").status.unwinding == "final")
    world.fleet.host("a").behave(cloud_init="done")
    world.edit("first", cloud_init_seed="again").run(lambda: world.is_ready("first"))
