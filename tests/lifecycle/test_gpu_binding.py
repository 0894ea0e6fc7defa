"""Binding is a transaction: all functions of all GPUs of a VM, or none; and every start finds the card that was recorded."""

from __future__ import annotations

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.drivers.simulated.function_state import FunctionState
from provisioner.model.errors import DeviceBusy, HostUnreachable, HypervisorError
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, Phase, RunStrategy
from tests.lifecycle.world import World, vm_yaml

FIRST, FIRST_AUDIO, SECOND, SECOND_AUDIO = "0000:41:00.0", "0000:41:00.1", "0000:42:00.0", "0000:42:00.1"


def _function(world: World, address: str) -> FunctionState:
    with world.fleet.host("a").peek() as state:
        return state.functions[address]


def _drivers(world: World, *addresses: str) -> set[str]:
    return {_function(world, address).driver for address in addresses}


def _calls(world: World, name: str) -> list[str]:
    return [call.subject for call in world.fleet.calls if call.name == name]


def _quarantined(world: World) -> dict[str, str]:
    return {entry.address: entry.reason for entry in world.store.get(GPUHost, "a").status.quarantined}


def _restart(world: World, name: str, *, token: str = "1") -> None:
    booted = world.vm(name).status.boot_id
    world.annotate(name, REQUEST_ANNOTATION, f"restart:{token}")
    world.run(lambda: world.is_ready(name) and world.vm(name).status.boot_id not in ("", booted))


def test_what_was_there_is_written_down_before_the_first_driver_is_touched(world: World) -> None:
    world.host("a").settle()
    world.fleet.faults.stage(Fault(HostUnreachable("away"), call="devices.bind_vfio", times=10**6))
    world.apply(vm_yaml("first")).run(lambda: world.fleet.calls.count("devices.bind_vfio") > 0)
    (claim,) = world.store.list(GPUClaim).items
    assert [(known.address, known.previous_driver) for known in claim.status.functions] == [
        (FIRST, "nvidia"),
        (FIRST_AUDIO, "snd_hda_intel"),
    ]
    assert claim.status.identity is not None and claim.status.identity.serial == _function(world, FIRST).serial
    assert claim.status.iommu_group == 20
    assert claim.status.group_members == (FIRST, FIRST_AUDIO)
    assert not claim.status.bound and not claim.status.given_at


def test_a_failure_in_the_middle_gives_back_in_reverse_what_was_taken(world: World) -> None:
    world.host("a", gpus=2).settle()
    world.fleet.faults.stage(Fault(HypervisorError("internal error"), call="devices.bind_vfio", subject=SECOND_AUDIO))
    world.apply(vm_yaml("first", gpus=2)).run(lambda: world.fleet.faults.pending == 0)
    assert _calls(world, "devices.restore") == [SECOND, FIRST_AUDIO, FIRST]
    assert _drivers(world, FIRST, SECOND) == {"nvidia"}
    assert all(claim.status.functions == () for claim in world.store.list(GPUClaim).items)
    world.run(lambda: world.is_ready("first"))
    assert world.vm("first").status.consecutive_failures == 0
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.leaks() == []


def test_a_vm_whose_claim_somebody_deleted_does_not_start_with_a_gpu_that_it_does_not_own(world: World) -> None:
    world.host("a").settle()
    world.fleet.faults.stage(Fault(DeviceBusy("held for a moment"), call="devices.bind_vfio", times=1))
    world.apply(vm_yaml("first")).run(lambda: world.fleet.faults.pending == 0)
    world.store.delete(world.store.list(GPUClaim).items[0].key)
    world.run(lambda: world.is_ready("first"))
    assert [claim.spec.owner.name for claim in world.store.list(GPUClaim).items] == ["first"]
    told = [event.message for event in world.store.events() if event.reason == "ClaimLost"]
    assert told == [f"its claim on {FIRST} is gone: others may have the GPU by now"]


def test_a_claim_that_goes_between_bind_and_start_stops_the_start(world: World) -> None:
    world.host("a").settle()
    world.fleet.faults.stage(Fault(HostUnreachable("away"), call="domains.start", times=1))
    world.apply(vm_yaml("first")).run(lambda: world.fleet.faults.pending == 0)
    world.store.delete(world.store.list(GPUClaim).items[0].key)
    world.run(lambda: world.is_ready("first"))
    assert [event.reason for event in world.store.events() if event.reason == "ClaimLost"] == ["ClaimLost"]
    assert len(world.store.list(GPUClaim).items) == 1


def test_a_companion_that_does_not_let_go_takes_its_gpu_out_and_the_vm_gets_another(world: World) -> None:
    world.host("a", gpus=2).settle()
    world.fleet.host("a").block_unbind(FIRST_AUDIO)
    world.apply(vm_yaml("first")).run(lambda: world.is_ready("first"), timeout_s=600)
    assert [gpu.address for gpu in world.vm("first").status.gpus] == [SECOND]
    assert set(_quarantined(world)) == {FIRST}
    assert FIRST_AUDIO in _quarantined(world)[FIRST] and "snd_hda_intel" in _quarantined(world)[FIRST]
    assert _drivers(world, FIRST, FIRST_AUDIO) == {"nvidia", ""}, "no half of the group stays; what hangs is on no driver"


def test_an_unbind_that_blocks_holds_nobody_else_up(world: World) -> None:
    world.host("a", gpus=2).settle()
    world.fleet.host("a").block_unbind(FIRST)
    world.apply(vm_yaml("first")).apply(vm_yaml("second")).apply(vm_yaml("third", gpus=0))
    world.run(lambda: world.is_ready("second") or world.is_ready("first"), timeout_s=300)
    world.run(lambda: world.is_ready("third"), timeout_s=300)
    assert list(_quarantined(world)) == [FIRST]
    told = [event for event in world.store.events() if event.reason == "GPUQuarantined"]
    assert len(told) == 1


def test_a_host_that_goes_away_in_the_middle_is_gone_on_with(world: World) -> None:
    world.host("a").settle()
    world.fleet.faults.stage(Fault(HostUnreachable("away"), call="devices.bind_vfio", subject=FIRST_AUDIO, times=3))
    world.apply(vm_yaml("first")).run(lambda: world.is_ready("first"))
    assert _calls(world, "devices.restore") == []
    assert _quarantined(world) == {}


def test_a_device_that_is_busy_for_a_moment_is_taken_a_moment_later(world: World) -> None:
    world.host("a").settle()
    world.fleet.faults.stage(Fault(DeviceBusy("held"), call="devices.bind_vfio", subject=FIRST_AUDIO, times=2))
    world.apply(vm_yaml("first")).run(lambda: world.is_ready("first"))
    assert world.vm("first").status.consecutive_failures == 0
    assert _quarantined(world) == {}


def test_a_restart_keeps_its_gpu_dirty_as_it_is_and_scrubs_nothing(world: World) -> None:
    world.host("a").configure("a", scrub_command="clear {address}").apply(vm_yaml("first")).settle()
    (before,) = world.store.list(GPUClaim).items
    _restart(world, "first")
    (after,) = world.store.list(GPUClaim).items
    assert after.metadata.uid == before.metadata.uid
    assert after.status.functions == before.status.functions
    assert (world.fleet.calls.count("devices.restore"), world.fleet.calls.count("devices.scrub")) == (0, 0)
    assert world.histories() == ()


def test_a_restart_with_more_memory_keeps_its_gpu_too(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    (before,) = world.store.list(GPUClaim).items
    world.edit("first", instance_type="u1.2xlarge").pass_time(30)
    _restart(world, "first")
    assert [claim.metadata.uid for claim in world.store.list(GPUClaim).items] == [before.metadata.uid]
    running = world.vm("first").status.running_spec
    assert running is not None and running.memory_mib == 32 * 1024


def test_a_card_that_was_swapped_while_its_vm_was_stopped_is_refused(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    (claim,) = world.store.list(GPUClaim).items
    assert claim.status.identity is not None
    world.edit("first", run_strategy=RunStrategy.HALTED).run(lambda: world.vm("first").status.phase is Phase.STOPPED)
    world.go_home().fleet.host("a").swap(FIRST)
    now = _function(world, FIRST).serial
    world.edit("first", run_strategy=RunStrategy.ALWAYS).pass_time(900)
    assert not world.is_ready("first")
    told = " ".join((*_quarantined(world).values(), world.summary(), *(event.message for event in world.store.events())))
    assert claim.status.identity.serial in told and now in told, "both cards are named"
    assert _drivers(world, FIRST) == {"nvidia"}, "the stranger was not touched"


OTHER_CARDS: dict[str, dict[str, str]] = {"serial": {}, "device": {"device": "26ba"}, "board": {"subsystem_device": "9999"}}


@pytest.mark.parametrize("changes", OTHER_CARDS.values(), ids=OTHER_CARDS)
def test_a_card_that_was_swapped_during_a_restart_is_refused(world: World, changes: dict[str, str]) -> None:
    world.host("a", gpus=2).apply(vm_yaml("first")).settle()
    world.fleet.faults.stage(Fault(HypervisorError("held"), call="domains.undefine", times=2))
    world.annotate("first", REQUEST_ANNOTATION, "restart:1").run(lambda: world.vm("first").status.phase is Phase.STOPPING)
    world.fleet.host("a").swap(FIRST, **changes)
    world.run(lambda: world.is_ready("first") and world.vm("first").status.handled_request == "restart:1")
    assert [gpu.address for gpu in world.vm("first").status.gpus] == [SECOND]
    assert list(_quarantined(world)) == [FIRST]


def test_after_a_boot_of_the_host_what_ran_runs_again_and_what_was_stopped_stays_so(world: World) -> None:
    world.host("a", gpus=2).apply(vm_yaml("first")).apply(vm_yaml("second")).settle()
    world.edit("second", run_strategy=RunStrategy.HALTED).run(lambda: world.vm("second").status.phase is Phase.STOPPED)
    booted, (claim,) = world.vm("first").status.boot_id, world.go_home().store.list(GPUClaim).items
    world.fleet.host("a").reboot()
    assert _drivers(world, FIRST, SECOND) == {"nvidia"}
    world.run(lambda: world.is_ready("first") and world.vm("first").status.boot_id not in ("", booted), timeout_s=600)
    (again,) = world.store.list(GPUClaim).items
    assert again.metadata.uid == claim.metadata.uid
    assert [known.previous_driver for known in again.status.functions] == ["nvidia", "snd_hda_intel"]
    assert again.status.host_boot_id != claim.status.host_boot_id
    assert _function(world, again.spec.address).driver == "vfio-pci"
    assert world.vm("second").status.phase is Phase.STOPPED
    world.delete("first").delete("second").run(lambda: not world.machines())
    assert world.leaks() == []


@pytest.mark.parametrize(("strategy", "phase"), [("RerunOnFailure", Phase.READY), ("Once", Phase.STOPPED)])
def test_a_boot_of_the_host_is_a_failure_of_the_guest_and_no_end_of_its_own(world: World, strategy: str, phase: Phase) -> None:
    world.host("a").apply(vm_yaml("first", extra=f"  runStrategy: {strategy}\n")).settle()
    booted = world.vm("first").status.boot_id
    world.fleet.host("a").reboot()
    world.run(lambda: world.vm("first").status.boot_id != booted).settle()
    assert world.vm("first").status.phase is phase


def test_a_guest_that_ends_well_is_not_run_again_on_failure(world: World) -> None:
    world.host("a").apply(vm_yaml("first", extra="  runStrategy: RerunOnFailure\n")).settle()
    world.ports.connector.connect("simulated://a").domains.shutdown(world.vm("first").status.domain)
    world.run(lambda: world.vm("first").status.phase is Phase.STOPPED).pass_time(600)
    assert world.vm("first").status.phase is Phase.STOPPED


def test_a_libvirtd_that_restarts_disturbs_no_vm(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    booted, calls = world.vm("first").status.boot_id, world.fleet.calls
    calls.clear()
    world.fleet.host("a").watchers.lose("end of file while reading data")
    world.pass_time(900)
    assert world.is_ready("first") and world.vm("first").status.boot_id == booted
    assert calls.count("domains.start") == calls.count("devices.bind_vfio") == calls.count("devices.reset") == 0
