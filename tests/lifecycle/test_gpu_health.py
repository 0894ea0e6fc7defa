"""GPUs that die under a VM, and GPUs that a guest calls broken: who is told, who is left alone, who gets which GPU next."""

from __future__ import annotations

import pytest

from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.lifecycle.gpu_health import watch_over_gpus
from provisioner.lifecycle.view import View
from provisioner.model.examination import AerCounts
from provisioner.model.gpu_host import GPUHost, Quarantine
from provisioner.model.virtual_machine import Phase, RunStrategy
from provisioner.planning.gpu_health import ACCUSED_MAX
from tests.lifecycle.test_gpu_release import release
from tests.lifecycle.world import World, vm_yaml

FIRST, SECOND = "0000:41:00.0", "0000:42:00.0"


def quarantined(world: World) -> dict[str, Quarantine]:
    return {entry.address: entry for entry in world.store.get(GPUHost, "a").status.quarantined}


def health(world: World, name: str = "first") -> tuple[str, str]:
    found = world.condition(name, "GPUHealthy")
    return (found.status, found.reason) if found is not None else ("", "")


def count_errors(host: SimulatedHost, fatal: int) -> None:
    """The kernel has counted so many fatal errors of the first GPU since the host booted."""
    with host.peek() as state:
        state.functions[FIRST].aer = AerCounts(fatal=fatal)


@pytest.fixture
def running(world: World) -> World:
    """Two GPUs, a VM that has the first and runs, and has said that it is well."""
    world.host("a", gpus=2).settle()
    count_errors(world.fleet.host("a"), 1)
    world.apply(vm_yaml("first")).settle().pass_time(30)
    assert [gpu.address for gpu in world.vm("first").status.gpus] == [FIRST]
    assert health(world) == ("True", "Healthy")
    return world


DEATHS = [
    (lambda host: host.lose(FIRST), "Missing", "it fell off the bus"),
    (lambda host: host.die(FIRST), "ConfigSpaceDead", "config space reads as all ones"),
    (lambda host: count_errors(host, 3), "FatalPcieError", "2 fatal PCIe errors (AER) since it was bound"),
]


@pytest.mark.parametrize(("befall", "cause", "words"), DEATHS, ids=[cause for _, cause, _ in DEATHS])
def test_a_gpu_that_dies_under_a_vm(running: World, befall, cause: str, words: str) -> None:
    booted = running.vm("first").status.boot_id
    befall(running.fleet.host("a"))
    running.run(lambda: health(running) == ("False", cause), timeout_s=330)
    entry = quarantined(running)[FIRST]
    assert entry.cause == cause
    assert words in entry.reason
    found = running.condition("first", "GPUHealthy")
    assert found is not None and f"GPU {FIRST} of a: " in found.message and words in found.message
    told = {(event.about.kind, event.reason) for event in running.store.events()}
    assert {("GPUHost", "GPUQuarantined"), ("VirtualMachine", "GPUDied")} <= told
    running.pass_time(1800)
    assert running.vm("first").status.phase is Phase.READY, "it runs on"
    assert running.vm("first").status.boot_id == booted, "and was not restarted"
    assert sum(event.reason == "GPUDied" for event in running.store.events()) == 1


def test_a_gpu_that_leaves_the_bus_is_noticed_by_the_hosts_own_word(running: World) -> None:
    running.fleet.host("a").lose(FIRST)
    running.run(lambda: health(running)[0] == "False", timeout_s=30)


def test_a_gpu_that_is_being_reset_just_then_is_not_taken_for_dead(running: World) -> None:
    hypervisor = running.ports.connector.connect("simulated://a")
    view = View(running.store.get(GPUHost, "a"), running.ports)
    seen = hypervisor.inventory.examine([FIRST], timeout_s=20)
    in_reset = tuple(each.model_copy(update={"config_alive": False}) for each in seen.functions)
    watch_over_gpus(view, hypervisor, seen.model_copy(update={"functions": in_reset}))
    assert quarantined(running) == {}, "it answers at the next look"
    running.fleet.host("a").die(FIRST)
    watch_over_gpus(view, hypervisor, hypervisor.inventory.examine([FIRST], timeout_s=20))
    assert quarantined(running)[FIRST].cause == "ConfigSpaceDead"


def test_nobody_gets_it_next_and_a_stopped_vm_takes_another(running: World) -> None:
    running.fleet.host("a").die(FIRST)
    running.run(lambda: health(running)[0] == "False", timeout_s=330)
    running.apply(vm_yaml("second")).run(lambda: running.is_ready("second"))
    assert [gpu.address for gpu in running.vm("second").status.gpus] == [SECOND]
    running.delete("second").run(lambda: not running.exists("second"))
    running.annotate("first", "hikube.cloud/request", "restart:1")
    running.run(lambda: [gpu.address for gpu in running.vm("first").status.gpus] == [SECOND] and running.is_ready("first"))
    assert health(running) == ("True", "Healthy"), "a VM that is ready is never called sick for a GPU that it had before"
    running.edit("first", run_strategy=RunStrategy.HALTED).run(lambda: running.vm("first").status.phase is Phase.STOPPED)
    assert health(running) == ("Unknown", "NoGPU")


def test_after_the_repair_it_is_released_and_handed_out(running: World) -> None:
    running.fleet.host("a").lose(FIRST)
    running.run(lambda: health(running)[0] == "False", timeout_s=60)
    running.delete("first").run(lambda: not running.exists("first"))
    running.fleet.host("a").bring_back(FIRST)
    running.pass_time(30)
    check = release(running)
    assert check.state == "Passed", check
    assert quarantined(running) == {}
    running.apply(vm_yaml("both", gpus=2)).run(lambda: running.is_ready("both"))


def test_an_error_of_before_the_bind_is_no_death(world: World) -> None:
    world.host("a").settle()
    count_errors(world.fleet.host("a"), 7)
    world.apply(vm_yaml("first")).settle().pass_time(900)
    assert health(world) == ("True", "Healthy")
    world.fleet.host("a").reboot()
    count_errors(world.fleet.host("a"), 0)
    world.pass_time(900)
    assert quarantined(world) == {}, "after a boot of the host the counts begin anew"


def test_fewer_lanes_than_before_are_told_and_no_more(running: World) -> None:
    with running.fleet.host("a").peek() as state:
        state.functions[FIRST].link_width = 8
    running.pass_time(700)
    assert health(running) == ("True", "Healthy")
    assert FIRST not in quarantined(running)
    assert any(event.reason == "GPUDegraded" and "8 of 16 lanes" in event.message for event in running.store.events())


def test_a_gpu_that_its_guest_calls_broken_is_quarantined_and_the_next_attempt_has_another(world: World) -> None:
    world.host("a", gpus=2).settle()
    world.fleet.host("a").sicken(FIRST, xid=48)
    world.apply(vm_yaml("first")).settle()
    vm = world.vm("first")
    assert world.is_ready("first")
    assert [gpu.address for gpu in vm.status.gpus] == [SECOND]
    entry = quarantined(world)[FIRST]
    assert entry.cause == "GuestFault"
    assert "Xid 48" in entry.reason and "VirtualMachine default/first" in entry.reason


def test_the_only_gpu_that_is_broken_is_given_to_nobody(world: World) -> None:
    world.host("a").settle()
    world.fleet.host("a").sicken(FIRST, xid=79)
    world.apply(vm_yaml("first")).run(lambda: FIRST in quarantined(world)).pass_time(1800)
    found = world.condition("first", "Scheduled")
    assert found is not None and (found.status, found.reason) == ("False", "GPUsQuarantined")
    with world.fleet.host("a").peek() as state:
        assert not state.running()


def test_a_tenant_who_calls_every_gpu_broken_is_heard_a_few_times_and_no_more(world: World) -> None:
    world.host("a", gpus=6).settle()
    with world.fleet.host("a").peek() as state:
        for function in state.functions.values():
            function.xid = 79
    for number in range(3):
        world.apply(vm_yaml(f"liar-{number}")).pass_time(1800)
    assert len(quarantined(world)) == ACCUSED_MAX
    assert {entry.accuser for entry in quarantined(world).values()} == {"default"}
    told = [event for event in world.store.events() if event.reason == "GPUSuspected"]
    assert told and "an operator has to look at it" in told[0].message
    with world.fleet.host("a").peek() as state:
        assert not state.running(), "a GPU that its guest calls broken makes no VM Ready all the same"


def test_a_program_that_crashed_in_the_guest_is_no_fault_of_the_gpu(world: World) -> None:
    world.host("a").settle()
    world.fleet.host("a").sicken(FIRST, xid=13)
    world.apply(vm_yaml("first")).settle()
    assert world.is_ready("first")
    assert quarantined(world) == {}


def test_what_the_guest_calls_the_card_is_in_the_vms_status(running: World) -> None:
    (gpu,) = running.vm("first").status.gpus
    assert gpu.uuid.startswith("GPU-")
    assert gpu.serial
    assert gpu.vbios == "96.00.74.00.11"
