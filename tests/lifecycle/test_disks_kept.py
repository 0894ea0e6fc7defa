"""Data kept or removed as asked: reclaim, what an earlier disk left behind, and a VM's own disk that becomes a VMDisk."""

from __future__ import annotations

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Metadata
from provisioner.model.virtual_machine import VMInstance
from provisioner.model.vm_disk import ADOPT_ANNOTATION, KEEP_DISK_ANNOTATION, RECLAIM_ANNOTATION, VMDisk, VMDiskSpec
from tests.lifecycle.disks import disk_is_ready, disk_yaml, events_of, instance_yaml, is_ready, said_of_disk, volumes
from tests.lifecycle.test_crashes import Crash, _survives
from tests.lifecycle.world import World, vm_yaml

DATA = "hikube-disk-default.data.qcow2"


def annotated(world: World, name: str, **annotations: str) -> World:
    disk = world.disk(name)
    world.store.update(disk.with_metadata(annotations={**disk.metadata.annotations, **annotations}))
    return world


@pytest.fixture
def data(world: World) -> World:
    """A host with a blank disk `data`."""
    return world.host("a").apply(disk_yaml("data", source="{}", host="a")).run(lambda: disk_is_ready(world, "data"))


def test_a_deleted_disk_takes_its_volume_along(data: World) -> None:
    data.delete("data", VMDisk).run(lambda: not data.exists("data", VMDisk))
    assert data.leaks() == []


def test_a_disk_that_shall_stay_leaves_its_volume_and_says_where(data: World) -> None:
    annotated(data, "data", **{RECLAIM_ANNOTATION: "Retain"}).delete("data", VMDisk)
    data.run(lambda: not data.exists("data", VMDisk))
    assert volumes(data) == [DATA]
    told = [event.message for event in data.store.events() if event.reason == "VolumeRetained"]
    assert told == [f"volume `{DATA}` stays in pool `default` of host `a`"]


def test_what_an_earlier_disk_left_is_neither_used_nor_overwritten_unless_that_is_asked_for(data: World) -> None:
    annotated(data, "data", **{RECLAIM_ANNOTATION: "Retain"}).delete("data", VMDisk)
    data.run(lambda: not data.exists("data", VMDisk))
    data.apply(disk_yaml("data", source="{}", storage="99Gi", host="a")).pass_time(7200)
    assert said_of_disk(data, "data").reason == "VolumeExists"
    assert data.fleet.calls.count("volumes.create") == 1
    annotated(data, "data", **{ADOPT_ANNOTATION: "true"}).run(lambda: disk_is_ready(data, "data"))
    assert data.fleet.calls.count("volumes.create") == 1
    assert volumes(data) == [DATA]


def test_a_disk_that_was_never_made_leaves_what_was_there_before(data: World) -> None:
    annotated(data, "data", **{RECLAIM_ANNOTATION: "Retain"}).delete("data", VMDisk)
    data.run(lambda: not data.exists("data", VMDisk))
    data.apply(disk_yaml("data", source="{}", host="a")).pass_time(60)
    data.delete("data", VMDisk).run(lambda: not data.exists("data", VMDisk))
    assert volumes(data) == [DATA]


def test_a_volume_that_somebody_removed_is_missed_and_not_made_anew(data: World) -> None:
    with data.fleet.host("a").peek() as state:
        state.pools["default"].volumes.clear()
    data.apply(instance_yaml("first", "data")).apply(disk_yaml("data", source="{}", storage="11Gi", host="a")).pass_time(600)
    assert said_of_disk(data, "data").reason == "VolumeMissing"
    assert volumes(data) == []


def test_a_crash_while_a_volume_is_made_does_not_make_it_somebody_elses(world: World) -> None:
    world.host("a").settle()
    world.fleet.faults.stage(Fault(Crash(), call="volumes.create", takes_effect=True))
    world.apply(disk_yaml("data", source="{}", host="a"))
    _survives(world, lambda: disk_is_ready(world, "data"))


def test_a_vms_own_disk_goes_with_it(world: World) -> None:
    world.host("a").apply(vm_yaml("train")).settle().delete("train").run(lambda: not world.exists("train"))
    assert world.leaks() == []


def kept(world: World) -> World:
    """A VM that was ready, deleted with its disk kept as `train-data`."""
    world.host("a").apply(vm_yaml("train")).settle()
    world.annotate("train", KEEP_DISK_ANNOTATION, "train-data").delete("train")
    return world.run(lambda: not world.exists("train"))


def test_a_vms_own_disk_becomes_a_vmdisk_that_another_vm_boots_from(world: World) -> None:
    kept(world).run(lambda: disk_is_ready(world, "train-data"))
    disk = world.disk("train-data")
    assert disk.status.origin is not None
    assert (disk.status.origin.source, disk.status.origin.name) == ("virtualmachine", "train")
    world.apply(instance_yaml("second", "train-data")).run(lambda: is_ready(world, "second"))
    world.delete("second", VMInstance).delete("train-data", VMDisk).run(lambda: not world.exists("train-data", VMDisk))
    assert world.leaks() == []


def test_a_new_vm_of_the_same_name_gets_a_disk_of_its_own(world: World) -> None:
    kept(world).apply(vm_yaml("train")).settle()
    assert world.is_ready("train")
    assert world.vm("train").status.system_volume != world.disk("train-data").status.volume
    world.delete("train").run(lambda: not world.exists("train"))
    assert volumes(world) == [world.disk("train-data").status.volume]


def test_a_disk_whose_name_is_taken_is_not_lost(world: World) -> None:
    world.host("a").apply(vm_yaml("train")).apply(disk_yaml("train-data")).settle()
    world.annotate("train", KEEP_DISK_ANNOTATION, "train-data").delete("train").pass_time(600)
    assert world.exists("train")
    clean = world.condition("train", "CleanedUp")
    assert clean is not None
    assert "exists already" in clean.message
    world.delete("train-data", VMDisk).run(lambda: not world.exists("train") and disk_is_ready(world, "train-data"))


@pytest.mark.parametrize("call", ["volumes.find", "volumes.delete", "domains.undefine"])
def test_a_crash_while_a_disk_is_kept_loses_nothing(world: World, call: str) -> None:
    world.host("a").apply(vm_yaml("train")).settle()
    world.annotate("train", KEEP_DISK_ANNOTATION, "train-data").delete("train")
    world.fleet.faults.stage(Fault(Crash(), call=call, takes_effect=True))
    _survives(world, lambda: not world.exists("train"))
    world.run(lambda: disk_is_ready(world, "train-data"))
    assert volumes(world) == [world.disk("train-data").status.volume]


def test_a_host_that_was_forgotten_with_a_disk_on_it_is_told(data: World) -> None:
    host = data.store.get(GPUHost, "a")
    data.store.update(host.with_metadata(finalizers=()))
    data.store.delete(host.key)
    data.run(lambda: not data.store.list(GPUHost).items).delete("data", VMDisk).run(lambda: not data.exists("data", VMDisk))
    assert "LeftBehind" in events_of(data, "data")


def test_what_may_not_change_is_refused_with_both_values() -> None:
    from provisioner.model.vm_disk import forbidden_change

    old = VMDiskSpec(storage="20Gi", storage_class="local")
    assert forbidden_change(old, old.model_copy(update={"storage": "30Gi"})) == ""
    smaller = old.model_copy(update={"storage": "10Gi"})
    assert forbidden_change(old, smaller) == "a disk can only grow: storage is 20Gi, not 10Gi"
    assert "local -> replicated" in forbidden_change(old, old.model_copy(update={"storage_class": "replicated"}))
    assert VMDisk(metadata=Metadata(name="x", annotations={"hikube.cloud/host": "b"})).home == "b"
