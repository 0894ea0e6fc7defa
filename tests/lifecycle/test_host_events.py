"""What hosts tell by themselves shortens waits, and only that: the periods do the same without it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from provisioner.drivers.host_events import HostEvent, HostEventKind
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.lifecycle.host_watch import SURVEY_PAUSE_S
from provisioner.lifecycle.virtual_machine.capacity import Offers
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GpuHealth, GPUHost
from provisioner.model.metadata import find_condition
from provisioner.store.protocol import ChangeType
from tests.contract.hypervisors import DomainText
from tests.lifecycle.world import World, vm_yaml

AT_ONCE_S = 1.0
QUIET_S = 67.0
"""Long enough for surveys that were asked for to be over, and short of the period; the next look at a VM is 8 s away."""


def gpu_of(world: World, host: str = "a") -> str:
    """The address of the host's first GPU."""
    return world.store.get(GPUHost, host).status.gpus[0].address


def healths(world: World, host: str = "a") -> list[GpuHealth]:
    """How the host's GPUs are, as its status says."""
    return [gpu.health for gpu in world.store.get(GPUHost, host).status.gpus]


def surveys(world: World, host: str = "a") -> list[float]:
    """When the host was surveyed."""
    return [call.at_s for call in world.fleet.calls if call.name == "inventory.survey" and call.host == host]


def is_host_ready(world: World, host: str = "a") -> bool:
    found = find_condition(world.store.get(GPUHost, host).status.conditions, "Ready")
    return found is not None and found.status == "True"


def test_a_vm_whose_qemu_dies_is_restarted_without_waiting_for_the_period(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle().pass_time(QUIET_S)
    booted = world.vm("first").status.boot_id
    world.fleet.host("a").kill_qemu(world.vm("first").status.domain)
    world.run(lambda: not world.is_ready("first"), timeout_s=AT_ONCE_S)
    world.run(lambda: world.is_ready("first"))
    assert world.vm("first").status.boot_id not in ("", booted)


def test_a_claimed_gpu_that_is_lost_is_missing_at_once(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle().pass_time(QUIET_S)
    world.fleet.host("a").lose(gpu_of(world))
    world.run(lambda: healths(world) == [GpuHealth.MISSING], timeout_s=AT_ONCE_S)


def test_a_free_gpu_that_is_lost_is_gone_at_once_and_back_soon(world: World) -> None:
    world.host("a").settle().pass_time(QUIET_S)
    address = gpu_of(world)
    world.fleet.host("a").lose(address)
    world.run(lambda: healths(world) == [], timeout_s=AT_ONCE_S)
    world.fleet.host("a").bring_back(address)
    world.run(lambda: healths(world) == [GpuHealth.OK], timeout_s=SURVEY_PAUSE_S + AT_ONCE_S)


def test_a_vm_that_waits_takes_a_gpu_that_comes_back_at_once(world: World) -> None:
    world.host("a").settle().pass_time(QUIET_S)
    address = gpu_of(world)
    world.fleet.host("a").lose(address)
    world.run(lambda: healths(world) == [], timeout_s=AT_ONCE_S)
    world.apply(vm_yaml("first")).pass_time(QUIET_S)
    assert not world.vm("first").status.host
    world.fleet.host("a").bring_back(address)
    world.run(lambda: world.vm("first").status.host == "a", timeout_s=AT_ONCE_S)


def test_a_survey_wakes_those_who_wait_for_capacity_only_if_there_may_be_more_of_it(world: World) -> None:
    def surveyed(**changes: object) -> bool:
        host = offered[-1].with_status(**changes)
        offered.append(host)
        return offers.may_help(ChangeType.MODIFIED, host)

    world.host("a").settle()
    offers, offered = Offers(), [world.store.get(GPUHost, "a")]
    (gpu,), (pool, *_) = offered[0].status.gpus, offered[0].status.storage_pools
    assert offers.may_help(ChangeType.ADDED, offered[0])
    assert not surveyed(last_seen=world.ports.now())
    assert not surveyed(gpus=(gpu.model_copy(update={"function": gpu.function.model_copy(update={"driver": "vfio-pci"})}),))
    assert not surveyed(storage_pools=(pool.model_copy(update={"available_bytes": pool.available_bytes - 1}),))
    assert surveyed(storage_pools=(pool,))
    assert surveyed(gpus=())
    assert surveyed(gpus=(gpu,))
    assert surveyed(reachable=False)


def test_a_storm_of_events_costs_one_survey_in_ten_seconds(world: World) -> None:
    world.host("a").settle().pass_time(QUIET_S)
    address, before = gpu_of(world), len(surveys(world))
    for _ in range(60):
        world.fleet.host("a").lose(address)
        world.fleet.host("a").bring_back(address)
        world.pass_time(0.5)
    times = surveys(world)[before:]
    assert 3 <= len(times) <= 4
    assert all(later - earlier >= SURVEY_PAUSE_S for earlier, later in pairwise(times))
    world.pass_time(QUIET_S)
    assert len(surveys(world)) - before <= 5, "nothing goes on when the storm is over"
    assert healths(world) == [GpuHealth.OK]


def test_a_host_whose_connection_is_lost_says_so_at_once_and_is_heard_again_when_it_is_back(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle().pass_time(QUIET_S)
    world.fleet.host("a").set_link("down")
    world.run(lambda: not is_host_ready(world), timeout_s=AT_ONCE_S)
    assert not world.store.get(GPUHost, "a").status.reachable
    world.pass_time(QUIET_S)
    world.fleet.host("a").set_link("up")
    world.run(lambda: is_host_ready(world), timeout_s=15).run(lambda: world.is_ready("first")).pass_time(QUIET_S)
    world.fleet.host("a").kill_qemu(world.vm("first").status.domain)
    world.run(lambda: not world.is_ready("first"), timeout_s=AT_ONCE_S)


def test_the_host_shows_the_drivers_as_they_are_soon_after_a_claim_took_or_gave_them(world: World) -> None:
    def drivers() -> set[str]:
        gpus = world.store.get(GPUHost, "a").status.gpus
        return {function.driver for gpu in gpus for function in (gpu.function, *gpu.companions)}

    world.host("a").settle().pass_time(QUIET_S)
    before = drivers()
    assert "vfio-pci" not in before
    world.apply(vm_yaml("first")).run(lambda: drivers() == {"vfio-pci"}, timeout_s=30)
    world.settle().delete("first").run(lambda: not world.exists("first"))
    world.run(lambda: not world.store.list(GPUClaim).items)
    world.run(lambda: drivers() == before, timeout_s=SURVEY_PAUSE_S + AT_ONCE_S)


def test_a_controller_that_starts_listens_to_hosts_that_were_surveyed_a_moment_ago(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle().pass_time(QUIET_S)
    before = len(surveys(world))
    world.ports = replace(world.ports, connector=SimulatedConnector(world.fleet))  # another process: other connections
    world.start_controller()
    world.pass_time(AT_ONCE_S)
    world.fleet.host("a").kill_qemu(world.vm("first").status.domain)
    world.run(lambda: not world.is_ready("first"), timeout_s=AT_ONCE_S)
    assert len(surveys(world)) == before


def test_events_that_are_lost_cost_time_and_nothing_else(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle().pass_time(QUIET_S)
    world.ports.connector.connect("simulated://a").close()  # the next connection knows of no subscription
    booted, address = world.vm("first").status.boot_id, gpu_of(world)
    world.fleet.host("a").kill_qemu(world.vm("first").status.domain)
    world.run(lambda: world.is_ready("first") and world.vm("first").status.boot_id not in ("", booted))
    world.fleet.host("a").lose(address)
    world.run(lambda: healths(world) == [GpuHealth.MISSING], timeout_s=330)


def test_an_event_about_a_domain_that_is_not_ours_wakes_nobody(world: World) -> None:
    world.host("a").settle().pass_time(QUIET_S)
    told: list[HostEvent] = []
    hypervisor = world.ports.connector.connect("simulated://a")
    hypervisor.subscribe(told.append)
    hypervisor.domains.define(DomainText("somebody-elses", "kvm", owner_uid="").text())
    hypervisor.domains.start("somebody-elses", timeout_s=1)
    assert told == [HostEvent(HostEventKind.DOMAIN_STARTED, "somebody-elses")]
    assert world.controller.queue.next_due_in_s() > AT_ONCE_S
