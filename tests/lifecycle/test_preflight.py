"""The checks before a bind: what stops it for a moment, what ends the attempt, and what is no reason at all."""

from __future__ import annotations

import pytest

from provisioner.lifecycle.verdicts import Abort, Retry, Verdict
from provisioner.lifecycle.virtual_machine.preflight import preflight
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.examination import GpuIdentity, HugepagePool
from provisioner.model.gpu_claim import ClaimOwner, GPUClaim, GPUClaimSpec
from provisioner.model.gpu_host import GpuHealth, GPUHost, claim_name
from provisioner.model.metadata import Metadata
from provisioner.model.virtual_machine import GpuAssignment, RunStrategy
from tests.lifecycle.world import World, vm_yaml

FIRST, AUDIO = "0000:41:00.0", "0000:41:00.1"
L40S = "nvidia.com/AD102GL_L40S"


@pytest.fixture
def view(world: World) -> VirtualMachineView:
    """A VM that has just been given the GPU of a host in order, and whose domain does not run."""
    world.host("a").settle().apply(vm_yaml("first"))
    vm = world.vm("first")
    owner = ClaimOwner(kind=vm.kind, namespace="default", name="first", uid=vm.metadata.uid)
    labels = {"hikube.cloud/owner-uid": vm.metadata.uid}
    spec = GPUClaimSpec(host="a", address=FIRST, gpu_name=L40S, owner=owner)
    world.store.create(GPUClaim(metadata=Metadata(name=claim_name("a", FIRST), labels=labels), spec=spec))
    gpu = GpuAssignment(name=L40S, host="a", address=FIRST, companions=(AUDIO,))
    return VirtualMachineView(world.store.update_status(vm.with_status(host="a", gpus=(gpu,))), world.ports)


def _host(view: VirtualMachineView) -> GPUHost:
    return view.ports.store.get(GPUHost, "a")


def _refusal(view: VirtualMachineView) -> Verdict | None:
    return preflight(view, view.claims())


def test_a_host_in_order_lets_it_pass_after_one_look(world: World, view: VirtualMachineView) -> None:
    before = len([call for call in world.fleet.calls if call.name == "inventory.examine"])
    assert _refusal(view) is None
    assert len([call for call in world.fleet.calls if call.name == "inventory.examine"]) == before + 1


def test_a_vm_without_gpus_costs_nothing(world: World, view: VirtualMachineView) -> None:
    before = len(list(world.fleet.calls))
    assert preflight(view, ()) is None
    assert len(list(world.fleet.calls)) == before


@pytest.mark.parametrize("address", [FIRST, AUDIO])
def test_somebody_who_holds_it_is_named_and_waited_for(world: World, view: VirtualMachineView, address: str) -> None:
    world.fleet.host("a").hold(address, by="python3 (pid 7)")
    refusal = _refusal(view)
    assert isinstance(refusal, Retry)
    assert refusal.reason == "HK-DOC-207" and "python3 (pid 7, /dev/" in refusal.message
    assert next(iter(_host(view).status.gpus)).health is GpuHealth.OK


def test_a_card_that_died_ends_the_attempt_and_is_not_chosen_again(world: World, view: VirtualMachineView) -> None:
    world.fleet.host("a").die(FIRST)
    refusal = _refusal(view)
    assert isinstance(refusal, Abort)
    assert refusal.reason == "HK-DOC-202"
    (gpu,) = _host(view).status.gpus
    assert gpu.health is GpuHealth.UNUSABLE and gpu.health_message.startswith("HK-DOC-202: ")
    assert [finding.code for finding in _host(view).status.findings] == ["HK-DOC-202"]


def test_a_swapped_card_is_refused_and_quarantined(world: World, view: VirtualMachineView) -> None:
    world.fleet.host("a").swap(FIRST)
    refusal = _refusal(view)
    assert isinstance(refusal, Abort)
    assert refusal.reason == "HK-DOC-218"
    (entry,) = _host(view).status.quarantined
    assert (entry.address, entry.cause) == (FIRST, "Swapped")


def test_another_card_than_the_claims_is_refused(view: VirtualMachineView) -> None:
    (claim,) = view.claims()
    other = GpuIdentity(vendor="10de", device="26b9", serial="of-the-card-that-was-here")
    refusal = preflight(view, [claim.with_status(identity=other)])
    assert isinstance(refusal, Abort)
    assert refusal.reason == "HK-DOC-218" and "of-the-card-that-was-here" in refusal.message


def test_a_group_that_has_changed_since_is_refused(view: VirtualMachineView) -> None:
    (claim,) = view.claims()
    assert preflight(view, [claim.with_status(group_members=(FIRST, AUDIO))]) is None
    refusal = preflight(view, [claim.with_status(group_members=(FIRST, AUDIO, "0000:41:00.2"))])
    assert isinstance(refusal, Abort)
    assert refusal.reason == "HK-DOC-222" and "0000:41:00.2" in refusal.message


def test_locked_memory_is_judged_for_this_guest(world: World, view: VirtualMachineView) -> None:
    with world.fleet.host("a").peek() as state:
        state.inside.memlock_limit_mib = view.size.memory_mib + 1024
    assert _refusal(view) is None
    with world.fleet.host("a").peek() as state:
        state.inside.memlock_limit_mib = view.size.memory_mib
    view.forget_examination()
    refusal = _refusal(view)
    assert isinstance(refusal, Abort)
    assert refusal.reason == "HK-DOC-107" and "host a: " in refusal.message


def test_memory_that_is_not_there_yet_is_waited_for(world: World, view: VirtualMachineView) -> None:
    with world.fleet.host("a").peek() as state:
        state.inside.memory_taken_mib = state.memory_mib - 1024
    refusal = _refusal(view)
    assert isinstance(refusal, Retry)
    assert refusal.reason == "HK-DOC-108"


def test_warnings_and_a_host_without_a_shell_are_no_reason(world: World, view: VirtualMachineView) -> None:
    with world.fleet.host("a").peek() as state:
        state.inside.kernel_command_line = "pcie_acs_override=downstream"
        state.functions[FIRST].link_width = 8
    assert _refusal(view) is None
    world.fleet.host("a").forbid_examination("no shell")
    view.forget_examination()
    assert _refusal(view) is None


def test_the_plan_that_follows_goes_by_the_huge_pages_of_now(world: World, view: VirtualMachineView) -> None:
    assert view.host.status.hugepages == ()
    with world.fleet.host("a").peek() as state:
        state.inside.hugepages = (HugepagePool(size_kib=1 << 20, node=0, total=4, free=3),)
    assert _refusal(view) is None
    assert view.host == _host(view)
    assert [pool.free for pool in view.host.status.hugepages] == [3]


def test_a_card_that_was_swapped_between_two_starts_is_not_used(world: World) -> None:
    world.host("a", gpus=2).apply(vm_yaml("first")).settle()
    assert [gpu.address for gpu in world.vm("first").status.gpus] == [FIRST]
    world.edit("first", run_strategy=RunStrategy.HALTED).settle()
    world.pass_time(600)
    world.fleet.host("a").swap(FIRST)
    world.edit("first", run_strategy=RunStrategy.ALWAYS).run(lambda: world.is_ready("first"), timeout_s=1800)
    assert [gpu.address for gpu in world.vm("first").status.gpus] == ["0000:42:00.0"]
    (entry,) = world.store.get(GPUHost, "a").status.quarantined
    assert (entry.address, entry.cause) == (FIRST, "Swapped")


def test_a_vm_says_who_holds_its_gpu_and_starts_when_it_is_let_go(world: World) -> None:
    world.host("a").settle()
    world.fleet.host("a").hold(FIRST, by="nvidia-persistenced (pid 812)")
    world.apply(vm_yaml("first")).run(lambda: _bound(world) == "HK-DOC-207")
    told = world.condition("first", "DevicesBound")
    assert told is not None and "nvidia-persistenced (pid 812, /dev/nvidia0)" in told.message
    world.fleet.host("a").hold(FIRST, by="")
    world.run(lambda: world.is_ready("first"), timeout_s=120)


def _bound(world: World) -> str:
    found = world.condition("first", "DevicesBound")
    return found.reason if found is not None else ""
