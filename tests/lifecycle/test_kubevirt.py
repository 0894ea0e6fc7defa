"""Stories of VMs on a KubeVirt cluster, in virtual time: ready with proof, waiting, explained, and gone without a trace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.image import Image, ImageSpec
from provisioner.model.metadata import Metadata, find_condition
from provisioner.model.secret import Secret
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, Phase, RunStrategy
from tests.lifecycle.clusters import L40S, SETTINGS, ClusterWorld
from tests.lifecycle.world import vm_yaml


@pytest.fixture
def world(tmp_path: Path) -> ClusterWorld:
    """A cluster `k` with two nodes of two L40S each."""
    return ClusterWorld(tmp_path).cluster("k", n1=2, n2=2)


@pytest.fixture
def tight(tmp_path: Path) -> ClusterWorld:
    """A cluster `k` with one GPU."""
    return ClusterWorld(tmp_path).cluster("k", n1=1)


def _why(world: ClusterWorld, name: str, kind: str) -> tuple[str, str]:
    found = world.condition(name, kind)
    return (found.reason, found.message) if found is not None else ("", "")


def test_a_vm_gets_ready_with_proof_and_leaves_no_trace(world: ClusterWorld) -> None:
    world.apply(vm_yaml("first")).settle()
    vm = world.vm("first")
    assert (vm.status.phase, vm.status.host) == (Phase.READY, "k")
    assert vm.status.address.startswith("10.244.")
    (gpu,), (claim,) = vm.status.gpus, world.store.list(GPUClaim).items
    assert gpu.uuid.startswith("GPU-")
    assert gpu.address == "", "the cluster does not tell where the GPU is"
    assert claim.metadata.name == f"k.{gpu.uuid.lower()}"
    assert claim.spec.owner.name == "first"
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.leaks() == []


def test_a_cluster_says_what_it_has_and_nothing_of_one_machines_hardware(world: ClusterWorld) -> None:
    world.settle()
    host = world.store.get(GPUHost, "k")
    said = {known.type: known.status for known in host.status.conditions}
    assert said == {"Reachable": "True", "Surveyed": "True", "Swept": "True", "Ready": "True"}
    assert host.status.cluster is not None
    assert [(node.name, node.devices[0].count) for node in host.status.cluster.nodes] == [("n1", 2), ("n2", 2)]
    found = find_condition(host.status.conditions, "Surveyed")
    assert found is not None and found.message == "KubeVirt v1.9.0 with 2 nodes; 4 x AD102GL_L40S"
    assert host.status.gpus == ()


def test_a_vm_waits_for_the_last_gpu_and_takes_it_when_it_is_free(tight: ClusterWorld) -> None:
    tight.apply(vm_yaml("first")).settle()
    tight.apply(vm_yaml("second")).settle()
    assert _why(tight, "second", "Scheduled") == ("InsufficientGPUs", "1 host: 0 of 1 L40S free")
    tight.delete("first").run(lambda: tight.is_ready("second"))
    assert len(tight.store.list(GPUClaim).items) == 1


def test_gpus_must_be_on_one_node(world: ClusterWorld) -> None:
    world.apply(vm_yaml("first")).settle()
    world.apply(vm_yaml("second", gpus=3)).settle()
    free_here = "1 host: 2 L40S free on node n2, 3 needed on one node"
    assert _why(world, "second", "Scheduled") == ("InsufficientGPUs", free_here)


def test_two_vms_that_ask_at_once_share_what_no_survey_shows_yet(tight: ClusterWorld) -> None:
    """The promise to the first counts before the cluster shows its machine; once shown, it counts no more than once."""
    tight.settle()
    tight.apply(vm_yaml("first")).apply(vm_yaml("second")).settle()
    ready = [name for name in ("first", "second") if tight.is_ready(name)]
    assert len(ready) == 1
    with tight.there().peek() as state:
        assert len(state.machines) == 1, "the other one was not even asked for"


def test_a_race_with_others_of_the_cluster_waits_in_the_clusters_own_words(tight: ClusterWorld) -> None:
    tight.settle()
    tight.there().occupy("n1", L40S, count=1)
    tight.apply(vm_yaml("first")).run(lambda: _why(tight, "first", "DevicesBound")[0] == "Unschedulable")
    assert "Insufficient" in _why(tight, "first", "DevicesBound")[1]
    tight.pass_time(7200)
    assert tight.vm("first").status.consecutive_failures == 0, "waiting for capacity is no failure"
    tight.there().occupy("n1", L40S, count=0)
    tight.run(lambda: tight.is_ready("first"))


def test_a_device_that_is_not_permitted_is_explained_before_and_after(tight: ClusterWorld) -> None:
    tight.settle()
    tight.there().forbid(L40S)
    tight.apply(vm_yaml("first")).run(lambda: _why(tight, "first", "DevicesBound")[0] == "NotPermitted")
    assert "not permitted in permittedHostDevices" in _why(tight, "first", "DevicesBound")[1]
    tight.pass_time(700)  # the cluster is surveyed again
    tight.apply(vm_yaml("second")).run(lambda: _why(tight, "second", "Scheduled")[0] != "")
    offer = f"1 host: its nodes offer {L40S}, which permittedHostDevices does not name"
    assert _why(tight, "second", "Scheduled") == ("NotPermitted", offer)
    tight.there().permit(L40S, "10DE:26B9")
    tight.run(lambda: tight.is_ready("first"))


def test_no_containerdisk_and_no_importer_is_a_reason_of_the_host(tmp_path: Path) -> None:
    bare = SETTINGS.model_copy(update={"container_disks": {}})
    world = ClusterWorld(tmp_path).cluster("k", settings=bare, n1=1)
    with world.there().peek() as state:
        state.can_import_disks = False
    world.apply(vm_yaml("first")).run(lambda: _why(world, "first", "Scheduled")[0] == "DiskUnavailable")
    with world.there().peek() as state:
        state.can_import_disks = True
    world.run(lambda: world.is_ready("first"))
    machine = world.vm("first").status.machine
    assert machine is not None and machine.disk.startswith("import:https://")


def test_halting_ends_the_machine_and_starting_proves_it_again(world: ClusterWorld) -> None:
    world.apply(vm_yaml("first")).settle()
    before = world.instance("first")
    world.edit("first", run_strategy=RunStrategy.HALTED).run(lambda: world.vm("first").status.phase is Phase.STOPPED)
    assert world.vm("first").status.gpus == ()
    world.run(lambda: not world.store.list(GPUClaim).items)
    with world.there().peek() as state:
        assert [machine.instance for machine in state.machines.values()] == [None]
        assert "PRIVATE KEY" not in "".join(machine.spec.user_data for machine in state.machines.values())
    world.edit("first", run_strategy=RunStrategy.ALWAYS).run(lambda: world.is_ready("first"))
    assert world.instance("first") not in ("", before)


def test_our_keys_are_gone_from_the_cluster_once_the_vm_is_handed_over(world: ClusterWorld) -> None:
    world.apply(vm_yaml("first")).settle()
    (secret,) = world.store.list(Secret).items
    assert set(secret.spec.data) == {"hostPublicKey", "instanceId"}
    with world.there().peek() as state:
        (machine,) = state.machines.values()
        assert "hikube-report" not in machine.spec.user_data
        assert "PRIVATE KEY" not in machine.spec.user_data


def test_a_restart_request_makes_another_instance_once(world: ClusterWorld) -> None:
    world.apply(vm_yaml("first")).settle()
    before = world.instance("first")
    world.annotate("first", REQUEST_ANNOTATION, "restart:1")
    world.run(lambda: world.is_ready("first") and world.instance("first") not in ("", before))
    again = world.instance("first")
    world.pass_time(600)
    assert world.instance("first") == again
    assert len(world.store.list(GPUClaim).items) == 1


def test_a_change_of_gpus_waits_for_a_restart(world: ClusterWorld) -> None:
    world.apply(vm_yaml("first")).settle()
    world.apply(vm_yaml("first", gpus=2)).pass_time(120)
    told = world.condition("first", "RestartRequired")
    assert told is not None and told.status == "True" and "gpus: 1 -> 2" in told.message
    world.annotate("first", REQUEST_ANNOTATION, "restart:1")
    world.run(lambda: world.is_ready("first") and len(world.vm("first").status.gpus) == 2)
    assert len({gpu.uuid for gpu in world.vm("first").status.gpus}) == 2


def test_a_change_of_mind_while_it_waits_is_taken_in(tight: ClusterWorld) -> None:
    tight.settle()
    tight.there().occupy("n1", L40S, count=1)
    tight.apply(vm_yaml("first")).run(lambda: _why(tight, "first", "DevicesBound")[0] == "Unschedulable")
    tight.apply(vm_yaml("first", gpus=0)).run(lambda: tight.is_ready("first"))
    assert tight.vm("first").status.gpus == ()


def test_a_guest_that_never_answers_is_tried_three_times_and_given_up_clean(world: ClusterWorld) -> None:
    world.settle()
    world.there().behave("default", "first", answers_ssh=False)
    world.apply(vm_yaml("first")).settle()
    vm = world.vm("first")
    assert (vm.status.phase, vm.status.consecutive_failures) == (Phase.FAILED, 3)
    assert "reach took more than" in vm.status.last_failure
    assert [leak for leak in world.leaks() if leak.kind != "secret"] == []


def test_a_start_that_fails_before_the_guest_runs_is_tried_again(world: ClusterWorld) -> None:
    world.settle()
    world.there().fail_starts("default", "first", times=2)
    world.apply(vm_yaml("first")).settle()
    assert world.is_ready("first")


def test_a_guest_with_too_few_gpus_is_never_ready(world: ClusterWorld) -> None:
    world.settle()
    world.there().behave("default", "first", missing_gpus=1)
    world.apply(vm_yaml("first", gpus=2)).settle()
    assert world.vm("first").status.phase is Phase.FAILED
    assert "the guest does not see the L40S #2" in world.vm("first").status.last_failure


def test_a_gpu_that_another_living_vm_reports_is_not_given_twice(world: ClusterWorld) -> None:
    """What cannot be, and would be a broken device plugin: both guests see the very same card."""
    world.apply(vm_yaml("first")).settle()
    uuid = world.vm("first").status.gpus[0].uuid
    world.apply(vm_yaml("second")).run(lambda: world.vm("second").status.phase is Phase.BOOTING)
    with world.there().peek() as state:
        instance = state.machines["default", "second"].instance
        assert instance is not None
        instance.gpus = tuple(replace(gpu, uuid=uuid) for gpu in instance.gpus)
    world.run(lambda: _why(world, "second", "GPUsProven")[0] == "GPUClaimedTwice")
    assert "which VirtualMachine default/first has" in _why(world, "second", "GPUsProven")[1]
    assert world.is_ready("first")


def test_gpus_without_a_driver_have_no_claim_and_the_condition_says_so(world: ClusterWorld) -> None:
    world.settle()
    world.store.create(Image(metadata=Metadata(name="own"), spec=ImageSpec(url="https://images.example/own.qcow2")))
    world.there().behave("default", "first", nvidia_driver="")
    world.apply(vm_yaml("first").replace("ubuntu-2404", "own")).settle()
    assert world.is_ready("first"), world.summary()
    assert world.store.list(GPUClaim).items == ()
    assert "1 GPU without a claim: the guest's driver names no UUID" in _why(world, "first", "GPUsProven")[1]


def test_a_foreign_machine_of_that_name_is_told_and_left_alone(world: ClusterWorld) -> None:
    world.settle()
    world.there().add_stranger("default", "first")
    world.apply(vm_yaml("first")).run(lambda: _why(world, "first", "DevicesBound")[0] == "Conflict")
    assert "belongs to somebody else" in _why(world, "first", "DevicesBound")[1]
    world.delete("first").run(lambda: not world.exists("first"))


def test_gpus_that_are_claimed_by_dra_come_with_their_addresses(tmp_path: Path) -> None:
    """Nodes do not say how many there are: nothing is counted, and the cluster's scheduler says no by itself."""
    settings = SETTINGS.model_copy(update={"claim_templates": {L40S: "one-l40s"}})
    world = ClusterWorld(tmp_path).cluster("k", settings=settings, n1=1)
    world.there().add_claim_template("default", "one-l40s")
    world.apply(vm_yaml("first")).settle()
    assert world.is_ready("first"), world.summary()
    (gpu,), (claim,) = world.vm("first").status.gpus, world.store.list(GPUClaim).items
    assert gpu.address != ""
    assert (claim.spec.address, claim.metadata.name) == (gpu.address, f"k.{gpu.uuid.lower()}")


def test_machines_of_all_namespaces_may_be_in_one(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"namespace": "gpu-vms"})
    world = ClusterWorld(tmp_path).cluster("k", settings=settings, n1=1)
    world.apply(vm_yaml("first")).run(lambda: _why(world, "first", "DevicesBound")[0] == "NamespaceMissing")
    world.there().add_namespace("gpu-vms")
    world.run(lambda: world.is_ready("first"))
    machine = world.vm("first").status.machine
    assert machine is not None
    assert (machine.namespace, machine.name) == ("gpu-vms", "first.default")
