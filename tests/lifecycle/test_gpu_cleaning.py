"""What happens to a GPU between two tenants: reset, scrubbed, verified, restored, recorded; or quarantined with the reason."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.lifecycle.fleet import snapshot
from provisioner.model.errors import HostUnreachable, HypervisorError
from provisioner.model.examination import AerCounts
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_history import Outcome
from provisioner.model.gpu_host import GPUHost, GpuState
from provisioner.model.virtual_machine import RunStrategy
from provisioner.planning.policy import PlacementPolicy
from tests.background_jobs import Jobs
from tests.lifecycle.tenants import AUDIO, GPU, SCRUB, entries, function, gone, had_by_first, why_pending
from tests.lifecycle.world import World, vm_yaml


def _state(world: World) -> GpuState:
    (host,) = snapshot(world.store, world.tables).views(policy=PlacementPolicy())
    return host.gpus[0].state


def test_two_tenants_in_turn_and_what_lies_between(world: World) -> None:
    had_by_first(world).configure("a", scrub_command=SCRUB).apply(vm_yaml("second")).settle()
    uuid = world.vm("first").status.gpus[0].uuid
    gone(world, "first").run(lambda: world.is_ready("second"))
    calls = [call for call in world.fleet.calls if call.subject == GPU and call.name.startswith("devices.")]
    names = [call.name.removeprefix("devices.") for call in calls if call.name != "devices.functions"]
    assert names == ["bind_vfio", "reset", "scrub", "restore", "bind_vfio"]
    gone(world, "second")
    assert world.leaks() == []
    one, two = entries(world)
    assert (one.owner.name, two.owner.name) == ("first", "second")
    assert one.since <= one.given <= one.until <= one.ended <= two.since
    assert (one.cleaning.reset_method, one.cleaning.reset) == ("flr", "done by flr")
    assert one.cleaning.scrubbed is not None and one.cleaning.scrubbed.command == f"clear-memory --gpu {GPU}"
    assert one.cleaning.verification == "config space alive, identity as recorded, no new fatal errors"
    assert one.cleaning.restored == "nvidia, snd_hda_intel"
    assert (one.outcome, one.guest.uuid) == (Outcome.FREE, uuid)


def test_with_reset_disabled_the_second_tenant_never_gets_it_and_is_told_why(world: World) -> None:
    had_by_first(world)
    world.fleet.host("a").set_reset_methods(GPU)
    gone(world, "first").apply(vm_yaml("second")).run(lambda: why_pending(world, "second") == "GPUsQuarantined")
    world.pass_time(3600)
    told = world.condition("second", "Scheduled")
    assert told is not None and told.message == "1 host: 0 of 1 L40S free (1 quarantined: NotReset)"
    (entry,) = entries(world)
    assert (entry.outcome, entry.cleaning.reset) == (Outcome.QUARANTINED, entry.cleaning.reset)
    assert "not possible" in entry.cleaning.reset and entry.cleaning.verification == ""
    (quarantined,) = world.store.get(GPUHost, "a").status.quarantined
    assert (quarantined.address, quarantined.cause, quarantined.reason) == (GPU, "NotReset", entry.reason)
    assert function(world, GPU).driver == "nvidia", "its drivers are back, and nobody gets it"


def test_a_gpu_that_no_guest_had_is_given_back_without_a_reset_and_that_is_said(world: World) -> None:
    world.host("a").settle()
    world.fleet.faults.stage(Fault(HypervisorError("held"), call="domains.define", times=10**6))
    world.apply(vm_yaml("first"))
    world.run(lambda: (found := world.condition("first", "Defined")) is not None and "held" in found.message)
    world.fleet.faults.clear()
    gone(world, "first")
    assert world.leaks() == []
    (entry,) = entries(world)
    assert (entry.given, entry.outcome) == ("", Outcome.FREE)
    assert entry.cleaning.reset == entry.cleaning.verification == "not needed: no guest ever had it"
    assert world.fleet.calls.count("devices.reset") == 0


def test_a_deletion_does_not_wait_for_a_scrub_and_the_next_vm_does(world: World) -> None:
    jobs = Jobs(world.clock, Random(1), at_once=0.0)
    world.ports = replace(world.ports, background=jobs)
    world.start_controller()
    world.host("a").run(lambda: bool(world.store.get(GPUHost, "a").status.kvm.works)).apply(vm_yaml("first"))
    world.run(lambda: world.is_ready("first")).configure("a", scrub_command=SCRUB, refresh_interval_s=86_400)
    world.fleet.host("a").end_scrubs(status=0, takes_s=300.0)
    gone(world, "first").apply(vm_yaml("second")).run(lambda: why_pending(world, "second") == "GPUsBeingCleaned")
    told = world.condition("second", "Scheduled")
    assert told is not None and told.message == "1 host: 0 of 1 L40S free (1 being cleaned)"
    assert _state(world) is GpuState.CLEANING
    world.run(lambda: world.is_ready("second"))
    assert _state(world) is GpuState.CLAIMED


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_start_that_outlives_its_vm_does_not_end_after_the_reset(world: World, seed: int) -> None:
    jobs = Jobs(world.clock, Random(seed), at_once=0.0)
    world.ports = replace(world.ports, background=jobs)
    world.start_controller()
    world.host("a").run(lambda: bool(world.store.get(GPUHost, "a").status.kvm.works)).apply(vm_yaml("first"))
    world.configure("a", scrub_command=SCRUB, refresh_interval_s=60)
    world.run(lambda: (told := world.condition("first", "Started")) is not None and told.reason == "Starting")
    world.store.delete(world.vm("first").key)
    world.store.update(world.vm("first").with_metadata(finalizers=()))

    def is_free() -> bool:
        jobs.tick()
        return not world.store.list(GPUClaim).items

    world.run(is_free)
    calls = world.fleet.calls.names("*")
    last = {call: len(calls) - 1 - calls[::-1].index(call) for call in ("domains.start", "domains.undefine", "devices.reset")}
    assert last["domains.start"] < last["domains.undefine"] < last["devices.reset"]
    assert entries(world)[0].outcome is Outcome.FREE


def test_while_the_host_is_away_its_gpus_wait(world: World) -> None:
    had_by_first(world)
    world.fleet.faults.stage(Fault(HostUnreachable("away"), call="devices.reset", times=40))
    gone(world, "first").pass_time(600)
    assert [claim.is_released for claim in world.store.list(GPUClaim).items] == [True]
    world.run(lambda: not world.store.list(GPUClaim).items)
    assert world.store.get(GPUHost, "a").status.quarantined == ()
    assert entries(world)[0].outcome is Outcome.FREE


def test_a_host_that_is_booted_meanwhile_does_not_get_the_gpu_before_its_reset(world: World) -> None:
    had_by_first(world)
    world.fleet.faults.stage(Fault(HypervisorError("internal error"), call="devices.reset"))
    gone(world, "first").run(lambda: world.fleet.faults.pending == 0)
    world.fleet.host("a").reboot()
    assert function(world, GPU).driver == "nvidia"
    world.run(lambda: not world.store.list(GPUClaim).items)
    assert entries(world)[0].cleaning.reset == "done by flr"
    assert world.leaks() == []


def test_a_host_goes_when_its_gpus_are_home(world: World) -> None:
    had_by_first(world)
    world.fleet.faults.stage(Fault(HypervisorError("internal error"), call="devices.reset"))
    world.delete("a", GPUHost)
    gone(world, "first")
    assert world.exists("a", GPUHost)
    world.run(lambda: not world.exists("a", GPUHost))
    assert entries(world)[0].outcome is Outcome.FREE
    assert function(world, GPU).driver == "nvidia"


def test_an_operator_who_keeps_gpus_on_vfio_finds_them_there(world: World) -> None:
    world.host("a").configure("a", keep_on_vfio=True).apply(vm_yaml("first")).settle()
    gone(world, "first").go_home()
    assert {function(world, address).driver for address in (GPU, AUDIO)} == {"vfio-pci"}
    assert entries(world)[0].cleaning.restored == "kept on vfio-pci, as the host's spec asks"
    world.apply(vm_yaml("second")).run(lambda: world.is_ready("second"))
    (claim,) = world.store.list(GPUClaim).items
    assert {known.previous_driver for known in claim.status.functions} == {"vfio-pci"}


def test_a_stop_lets_go_of_the_gpu_and_a_start_waits_until_it_is_clean(world: World) -> None:
    had_by_first(world)
    world.fleet.faults.stage(Fault(HostUnreachable("away"), call="devices.reset", times=5))
    world.edit("first", run_strategy=RunStrategy.HALTED).run(lambda: world.vm("first").status.phase == "Stopped")
    world.edit("first", run_strategy=RunStrategy.ALWAYS).run(lambda: why_pending(world, "first") == "GPUsBeingCleaned")
    world.run(lambda: world.is_ready("first"))
    assert len(entries(world)) == 1


def test_the_claim_of_a_host_that_left_the_store_is_lost_and_that_is_recorded(world: World) -> None:
    had_by_first(world)
    world.delete("a", GPUHost)
    world.store.update(world.store.get(GPUHost, "a").with_metadata(finalizers=()))
    gone(world, "first").run(lambda: not world.store.list(GPUClaim).items)
    (entry,) = entries(world)
    assert (entry.outcome, entry.reason) == (Outcome.LOST, "host `a` was taken out of the store")


def test_cards_without_a_serial_number_have_histories_of_their_own(world: World) -> None:
    world.host("a", gpus=2)
    with world.fleet.host("a").peek() as state:
        for each in state.functions.values():
            each.serial = ""
    world.apply(vm_yaml("first", gpus=2)).settle()
    gone(world, "first").go_home()
    assert [history.metadata.name for history in world.histories()] == [
        "10de-26b9-10de-1851-a1.a.0000-41-00.0",
        "10de-26b9-10de-1851-a1.a.0000-42-00.0",
    ]


def test_errors_of_the_lease_are_counted_from_its_bind(world: World) -> None:
    world.host("a")
    with world.fleet.host("a").peek() as state:
        state.functions[GPU].aer = AerCounts(fatal=2, correctable=5)
    world.apply(vm_yaml("first")).settle()
    with world.fleet.host("a").peek() as state:
        state.functions[GPU].aer = AerCounts(fatal=2, correctable=9)
    gone(world, "first").go_home()
    (entry,) = entries(world)
    assert (entry.outcome, entry.cleaning.aer) == (Outcome.FREE, AerCounts(correctable=4))


def test_a_function_goes_back_to_the_override_that_somebody_had_set(world: World) -> None:
    world.host("a")
    with world.fleet.host("a").peek() as state:
        state.functions[AUDIO].driver_override = "snd_hda_intel"
    world.apply(vm_yaml("first")).settle()
    (claim,) = world.store.list(GPUClaim).items
    assert [known.previous_override for known in claim.status.functions] == ["", "snd_hda_intel"]
    assert function(world, AUDIO).driver_override == "vfio-pci"
    gone(world, "first").go_home()
    assert [function(world, address).driver_override for address in (GPU, AUDIO)] == ["", "snd_hda_intel"]
    assert function(world, AUDIO).driver == "snd_hda_intel"


def test_a_function_that_was_left_without_any_driver_gets_its_own_back(world: World) -> None:
    had_by_first(world)
    world.fleet.faults.stage(Fault(HypervisorError("internal error"), call="devices.restore", times=2))
    gone(world, "first").run(lambda: world.fleet.faults.pending == 0)
    with world.fleet.host("a").peek() as state:
        state.functions[AUDIO].driver = ""
    world.go_home()
    assert function(world, AUDIO).driver == "snd_hda_intel"
