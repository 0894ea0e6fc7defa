"""One fleet with libvirt hosts and KubeVirt clusters: the same VM, the same conditions, and one placement for both."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.model.gpu_claim import GPUClaim
from tests.lifecycle.clusters import ClusterWorld
from tests.lifecycle.world import vm_yaml


@pytest.fixture
def world(tmp_path: Path) -> ClusterWorld:
    """An empty world."""
    return ClusterWorld(tmp_path)


def _story(world: ClusterWorld, name: str) -> list[tuple[str, str]]:
    """The VM's conditions in the order in which they became True, but Ready, which stands from the first wait on."""
    known = world.vm(name).status.conditions
    return [(condition.type, condition.status) for condition in known if condition.type not in ("Ready", "GPUHealthy")]


def test_the_same_vm_reaches_ready_on_both_with_the_same_conditions_in_the_same_order(world: ClusterWorld) -> None:
    world.host("a").settle()
    world.apply(vm_yaml("first")).settle()
    on_libvirt = _story(world, "first")
    assert world.vm("first").status.host == "a"
    world.delete("first").run(lambda: not world.exists("first"))
    world.configure("a", cordoned=True)
    world.cluster("k", n1=1).settle()
    world.apply(vm_yaml("first")).settle()
    assert world.vm("first").status.host == "k"
    assert _story(world, "first") == on_libvirt
    assert on_libvirt[0] == ("Scheduled", "True")
    assert all(status == "True" for _, status in on_libvirt)
    assert world.condition("first", "GPUHealthy") is not None
    types = {condition.type for condition in world.vm("first").status.conditions}
    assert {"Ready", "GPUHealthy"} <= types


def test_a_mixed_fleet_is_filled_and_then_says_why_not(world: ClusterWorld) -> None:
    world.cluster("k", n1=1).host("a")
    world.settle()
    for name in ("one", "two", "three"):
        world.apply(vm_yaml(name)).settle()
    assert {world.vm(name).status.host for name in ("one", "two")} == {"a", "k"}
    waiting = world.condition("three", "Scheduled")
    assert waiting is not None
    assert waiting.message.startswith("2 hosts: 2 with too few L40S free; nearest: ")
    assert {claim.spec.host for claim in world.store.list(GPUClaim).items} == {"a", "k"}
    on_cluster = next(name for name in ("one", "two") if world.vm(name).status.host == "k")
    world.delete(on_cluster).run(lambda: world.is_ready("three"))
    assert world.vm("three").status.host == "k"


def test_a_selector_is_met_by_the_cluster_or_by_a_node_of_it(world: ClusterWorld) -> None:
    world.cluster("k", n1=1).host("a")
    world.there().add_node("west-1", gpus={"nvidia.com/AD102GL_L40S": 1}, labels={"zone": "west"})
    world.settle()
    world.apply(vm_yaml("first", extra="  hostSelector: {zone: west}\n")).settle()
    machine = world.vm("first").status.machine
    assert machine is not None and machine.node == "west-1"
    world.apply(vm_yaml("second", extra="  hostSelector: {zone: east}\n"))
    world.run(lambda: (found := world.condition("second", "Scheduled")) is not None and found.reason == "LabelsDiffer")
    found = world.condition("second", "Scheduled")
    assert found is not None and "label zone=east" in found.message


def test_a_vm_with_vm_disks_or_networks_goes_to_libvirt(world: ClusterWorld) -> None:
    world.cluster("k", n1=1).host("a")
    world.settle()
    world.configure("a", cordoned=True)
    world.apply(vm_yaml("first", extra="  networks: [{name: default}]\n"))
    world.run(lambda: (found := world.condition("first", "Scheduled")) is not None and found.status == "False")
    found = world.condition("first", "Scheduled")
    assert found is not None and "without network default" in found.message
    world.configure("a", cordoned=False)
    world.run(lambda: world.is_ready("first"))
    assert world.vm("first").status.host == "a"


def test_a_vm_that_the_cluster_cannot_schedule_moves_to_a_host_that_takes_it(world: ClusterWorld) -> None:
    world.cluster("k", n1=1).settle()
    world.there().occupy("n1", "nvidia.com/AD102GL_L40S", count=1)
    world.apply(vm_yaml("first"))
    world.run(lambda: (found := world.condition("first", "DevicesBound")) is not None and found.reason == "Unschedulable")
    world.host("a")
    world.run(lambda: world.is_ready("first"))
    assert world.vm("first").status.host == "a"
    with world.there().peek() as state:
        assert state.machines == {}
