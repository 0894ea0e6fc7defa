"""What befalls VMs on a KubeVirt cluster once they run: crashes, silent nodes, drains, killed controllers, orphans."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.lifecycle.assembly import behind, controller_of
from provisioner.model.errors import HostUnreachable, NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.image import Image, ImageSpec
from provisioner.model.metadata import Metadata
from provisioner.model.virtual_machine import Phase, RunStrategy
from tests.lifecycle.clusters import SETTINGS, ClusterWorld
from tests.lifecycle.test_fencing import Fence
from tests.lifecycle.world import vm_yaml


@pytest.fixture
def world(tmp_path: Path) -> ClusterWorld:
    """A cluster `k` with two nodes of one L40S each, and a VM that is Ready."""
    return ClusterWorld(tmp_path).cluster("k", n1=1, n2=1)


def _node(world: ClusterWorld, name: str = "first") -> str:
    machine = world.vm(name).status.machine
    return machine.node if machine is not None else ""


def _with_strategy(world: ClusterWorld, strategy: RunStrategy) -> None:
    world.apply(vm_yaml("first", extra=f"  runStrategy: {strategy.value}\n")).settle()
    assert world.is_ready("first"), world.summary()


@pytest.mark.parametrize("how", ["crash", "power_off"])
def test_a_guest_that_ends_under_always_is_another_instance_and_is_proven_again(world: ClusterWorld, how: str) -> None:
    _with_strategy(world, RunStrategy.ALWAYS)
    before = world.instance("first")
    getattr(world.there(), how)("default", "first")
    world.run(lambda: not world.is_ready("first"), timeout_s=5)
    world.run(lambda: world.is_ready("first"))
    assert world.instance("first") not in ("", before)
    assert len(world.store.list(GPUClaim).items) == 1


@pytest.mark.parametrize(
    ("strategy", "how", "runs_again"),
    [
        (RunStrategy.ONCE, "power_off", False),
        (RunStrategy.ONCE, "crash", False),
        (RunStrategy.RERUN_ON_FAILURE, "power_off", False),
        (RunStrategy.RERUN_ON_FAILURE, "crash", True),
    ],
)
def test_run_strategies_are_hikubes_own(world: ClusterWorld, strategy: RunStrategy, how: str, runs_again: bool) -> None:
    _with_strategy(world, strategy)
    before = world.instance("first")
    getattr(world.there(), how)("default", "first")
    if runs_again:
        world.run(lambda: world.is_ready("first") and world.instance("first") != before)
    else:
        world.run(lambda: world.vm("first").status.phase is Phase.STOPPED)
        world.pass_time(900)
        assert world.vm("first").status.phase is Phase.STOPPED
        with world.there().peek() as state:
            assert not state.instances()


def test_an_instance_that_somebody_else_started_is_not_taken_for_the_proven_one(world: ClusterWorld) -> None:
    _with_strategy(world, RunStrategy.ALWAYS)
    before = world.instance("first")
    world.ports.clusters.connect("kubevirt://k").restart("default", "first", instance_uid=before)
    world.run(lambda: not world.is_ready("first"))
    world.run(lambda: world.is_ready("first"))
    assert world.instance("first") != before


def test_a_drained_node_is_left_gracefully_and_the_vm_starts_elsewhere(world: ClusterWorld) -> None:
    _with_strategy(world, RunStrategy.ALWAYS)
    before = _node(world)
    world.there().drain(before)
    world.run(lambda: world.is_ready("first") and _node(world) not in ("", before))
    told = [event.reason for event in world.store.events(world.vm("first").key)]
    assert "Draining" in told


def test_a_drain_with_no_room_elsewhere_leaves_the_node_and_waits(tmp_path: Path) -> None:
    world = ClusterWorld(tmp_path).cluster("k", n1=1)
    _with_strategy(world, RunStrategy.ALWAYS)
    world.there().drain("n1")
    world.run(lambda: (found := world.condition("first", "DevicesBound")) is not None and found.reason == "Unschedulable")
    with world.there().peek() as state:
        assert not [instance for _, instance in state.instances() if instance.node]
    world.there().cordon("n1", is_cordoned=False)
    world.run(lambda: world.is_ready("first"))


def test_a_vm_on_a_silent_node_is_started_elsewhere_after_the_operators_patience(world: ClusterWorld) -> None:
    _with_strategy(world, RunStrategy.ALWAYS)
    before, instance = _node(world), world.instance("first")
    world.there().lose_node(before)
    world.run(lambda: (found := world.condition("first", "HostReachable")) is not None and found.status == "False")
    assert world.is_ready("first"), "nobody knows whether it runs"
    assert world.instance("first") == instance
    world.run(lambda: world.is_ready("first") and _node(world) not in ("", before))
    assert [claim.status.machine.node for claim in world.store.list(GPUClaim).items if claim.status.machine] == [_node(world)]


def test_a_node_that_answers_again_in_time_keeps_its_vm(world: ClusterWorld) -> None:
    _with_strategy(world, RunStrategy.ALWAYS)
    before, instance = _node(world), world.instance("first")
    world.there().lose_node(before)
    world.run(lambda: (found := world.condition("first", "HostReachable")) is not None and found.status == "False")
    world.there().bring_back(before)
    world.run(lambda: (found := world.condition("first", "HostReachable")) is not None and found.status == "True")
    world.pass_time(900)
    assert (_node(world), world.instance("first")) == (before, instance)


def test_an_operator_who_wants_to_decide_himself_is_waited_for(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"node_lost_after_s": 0})
    world = ClusterWorld(tmp_path).cluster("k", settings=settings, n1=1, n2=1)
    _with_strategy(world, RunStrategy.ALWAYS)
    instance = world.instance("first")
    world.there().lose_node(_node(world))
    world.pass_time(7200)
    assert world.instance("first") == instance


def test_a_vm_on_a_silent_node_can_be_deleted(world: ClusterWorld) -> None:
    _with_strategy(world, RunStrategy.ALWAYS)
    world.there().lose_node(_node(world))
    world.pass_time(120)
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.leaks() == []


def test_a_cluster_that_is_away_for_ten_minutes_only_delays(world: ClusterWorld) -> None:
    world.apply(vm_yaml("first")).run(lambda: world.vm("first").status.phase is Phase.BOOTING)
    world.there().set_link("down")
    world.pass_time(600)
    world.there().set_link("up")
    world.settle()
    assert world.is_ready("first")
    assert world.vm("first").status.consecutive_failures == 0


def test_deletion_while_the_cluster_is_away_completes_when_it_is_back(world: ClusterWorld) -> None:
    _with_strategy(world, RunStrategy.ALWAYS)
    world.fleet.faults.stage(Fault(HostUnreachable("away"), call="*", host="k", times=20))
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.leaks() == []


@pytest.mark.parametrize("seconds", [0.5, 3, 6, 9, 12, 15, 20, 25, 30])
def test_a_controller_that_dies_on_the_way_up_is_followed_by_one_that_goes_on(tmp_path: Path, seconds: float) -> None:
    world = ClusterWorld(tmp_path).cluster("k", n1=1)
    world.apply(vm_yaml("first")).pass_time(seconds)
    world.start_controller()
    world.settle()
    assert world.is_ready("first")
    assert world.vm("first").status.consecutive_failures == 0
    assert len(world.store.list(GPUClaim).items) == 1


@pytest.mark.parametrize("seconds", [0.2, 1, 2, 3, 5])
def test_a_controller_that_dies_on_the_way_down_leaves_nothing(world: ClusterWorld, seconds: float) -> None:
    _with_strategy(world, RunStrategy.ALWAYS)
    world.delete("first").pass_time(seconds)
    world.start_controller()
    world.run(lambda: not world.exists("first"))
    assert world.leaks() == []


def test_a_machine_whose_vm_was_removed_by_force_is_swept_away(world: ClusterWorld) -> None:
    _with_strategy(world, RunStrategy.ALWAYS)
    key = world.vm("first").key
    world.store.update(world.vm("first").with_metadata(finalizers=()))
    world.store.delete(key)
    with pytest.raises(NotFound):
        world.vm("first")
    world.pass_time(1200)
    assert world.store.list(GPUClaim).items == ()
    with world.there().peek() as state:
        assert state.machines == {}


def test_machines_that_were_there_before_this_store_are_left_alone(world: ClusterWorld) -> None:
    """A store that was lost: neither the VM nor the host is known any more, and the host is added anew."""
    _with_strategy(world, RunStrategy.ALWAYS)
    host = world.store.get(GPUHost, "k")
    for known in (world.vm("first"), host):
        world.store.update(known.with_metadata(finalizers=()))
        world.store.delete(known.key)
    world.start_controller()
    world.store.create(GPUHost(metadata=Metadata(name="k"), spec=host.spec))
    world.pass_time(1200)
    with world.there().peek() as state:
        assert list(state.machines) == [("default", "first")]


def test_a_cluster_goes_only_when_nothing_is_on_it(world: ClusterWorld) -> None:
    _with_strategy(world, RunStrategy.ALWAYS)
    world.delete("k", GPUHost).pass_time(60)
    host = world.store.get(GPUHost, "k")
    assert next(known.reason for known in host.status.conditions if known.type == "Ready") == "InUse"
    world.delete("first").run(lambda: not world.exists("k", GPUHost))


def test_a_gpu_is_counted_once_however_long_its_vm_runs(world: ClusterWorld) -> None:
    world.apply(vm_yaml("first")).settle()
    world.pass_time(1000)  # several surveys
    world.apply(vm_yaml("second")).settle()
    assert world.is_ready("second"), world.summary()
    assert {_node(world, "first"), _node(world, "second")} == {"n1", "n2"}


def test_a_vm_whose_image_was_taken_away_can_still_be_halted(world: ClusterWorld) -> None:
    world.store.create(Image(metadata=Metadata(name="own"), spec=ImageSpec(url="https://images.example/own.qcow2")))
    world.apply(vm_yaml("first").replace("ubuntu-2404", "own")).settle()
    assert world.is_ready("first"), world.summary()
    world.store.delete(world.store.get(Image, "own").key)
    world.edit("first", run_strategy=RunStrategy.HALTED).run(lambda: world.vm("first").status.phase is Phase.STOPPED)


@pytest.mark.parametrize("lets_through", [0, 3, 6, 9, 12, 16, 20, 25, 30])
def test_wherever_leadership_ends_the_cluster_is_left_alone_and_the_next_one_finishes(
    world: ClusterWorld, lets_through: int
) -> None:
    world.settle()
    world.apply(vm_yaml("first"))
    fence = Fence(lets_through=lets_through)
    deposed = controller_of(behind(world.ports, fence), workers=0)
    deposed.run_until(lambda: fence.refused > 0, timeout_s=600)
    assert fence.refused
    done, stored = _asked(world), world.store.snapshot()
    deposed.run_until(lambda: False, timeout_s=600)
    assert (_asked(world), world.store.snapshot()) == (done, stored)
    world.start_controller()
    world.settle()
    assert world.is_ready("first")
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.leaks() == []


def _asked(world: ClusterWorld) -> int:
    """How often the cluster was asked to change anything."""
    names = {"machines.apply", "machines.remove", "machines.destroy", "machines.restart"}
    return sum(call.name in names for call in world.fleet.calls)
