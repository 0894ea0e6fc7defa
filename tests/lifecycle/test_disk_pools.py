"""Storage classes and their pools; pools that are missing, stopped or full: named reasons with numbers, waited for."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.metadata import Metadata, find_condition
from provisioner.model.vm_disk import VMDisk
from tests.lifecycle.disks import (
    GIB,
    disk_is_ready,
    disk_yaml,
    instance_yaml,
    is_ready,
    said_of_disk,
    volumes,
    why_not_scheduled,
)
from tests.lifecycle.world import World, vm_yaml


def classed(world: World, **classes: str) -> World:
    """A host with the pools `default` and `fast`, and these storage classes."""
    world.fleet.add_host("a", pools={"default": 100 * GIB, "fast": 50 * GIB})
    spec = GPUHostSpec(uri="simulated://a", storage_classes=classes)
    world.store.create(GPUHost(metadata=Metadata(name="a"), spec=spec))
    return world.settle()


def pool(world: World, name: str = "default", **changes: Any) -> None:
    """Change what a pool of the host is."""
    with world.fleet.host("a").peek() as state:
        for field, value in changes.items():
            setattr(state.pools[name], field, value)


def test_a_disk_lies_in_the_pool_of_its_class_and_an_unmapped_class_in_the_hosts_own(world: World) -> None:
    classed(world, local="fast")
    world.apply(disk_yaml("one", host="a", extra=", storageClass: local")).apply(disk_yaml("two", host="a"))
    world.run(lambda: disk_is_ready(world, "one") and disk_is_ready(world, "two"))
    assert volumes(world, pool="fast") == ["hikube-disk-default.one.qcow2"]
    assert volumes(world, pool="default") == ["hikube-disk-default.two.qcow2"]
    world.apply(instance_yaml("first", "two", "one")).run(lambda: is_ready(world, "first"))


def test_a_system_disk_lies_in_the_pool_of_its_class(world: World) -> None:
    classed(world, replicated="fast")
    world.apply(vm_yaml("first", gpus=0)).settle()
    assert world.is_ready("first"), world.summary()
    assert volumes(world, pool="fast") == ["hikube-default.first-system.qcow2"]
    world.delete("first").run(lambda: not world.exists("first"))
    assert volumes(world, pool="fast") == []


def test_a_disk_stays_where_it_is_when_the_classes_are_mapped_anew(world: World) -> None:
    classed(world, local="fast").apply(disk_yaml("one", host="a", extra=", storageClass: local"))
    world.run(lambda: disk_is_ready(world, "one"))
    host = world.store.get(GPUHost, "a")
    world.store.update(host.model_copy(update={"spec": host.spec.model_copy(update={"storage_classes": {}})}))
    world.apply(instance_yaml("first", "one")).run(lambda: is_ready(world, "first"))
    world.delete("one", VMDisk).pass_time(60)
    assert volumes(world, pool="fast") == ["hikube-disk-default.one.qcow2"]


def test_a_disk_that_does_not_fit_says_so_with_numbers_and_takes_the_room_that_is_made(world: World) -> None:
    world.host("a").settle()
    world.fleet.host("a").fill_pool("default", left_bytes=5 * GIB)
    world.apply(disk_yaml("data", source="{}", host="a")).pass_time(4 * 3600)
    said = said_of_disk(world, "data")
    assert said.reason == "InsufficientStorage"
    assert "needs 10 GiB" in said.message
    assert "5 GiB of 2048 GiB left" in said.message
    assert volumes(world) == []
    world.fleet.host("a").fill_pool("default", left_bytes=20 * GIB)
    world.run(lambda: disk_is_ready(world, "data"), timeout_s=60)


def test_a_copy_that_does_not_fit_is_not_begun_and_holds_nobody_back(world: World) -> None:
    world.host("a").apply(disk_yaml("root", host="a")).run(lambda: disk_is_ready(world, "root"))
    world.fleet.host("a").fill_pool("default", left_bytes=GIB)
    world.apply(disk_yaml("copied", source="{disk: {name: root}}")).pass_time(600)
    assert said_of_disk(world, "copied").reason == "InsufficientStorage"
    assert world.fleet.calls.count("volumes.clone") == 0
    assert world.disk("root").status.copied_to == ""


def test_a_disk_that_cannot_grow_serves_on_in_its_old_size(world: World) -> None:
    world.host("a").apply(disk_yaml("data", source="{}", host="a")).run(lambda: disk_is_ready(world, "data"))
    world.fleet.host("a").fill_pool("default", left_bytes=GIB)
    world.apply(disk_yaml("data", source="{}", storage="40Gi", host="a")).pass_time(600)
    assert disk_is_ready(world, "data")
    grown = find_condition(world.disk("data").status.conditions, "Grown")
    assert grown is not None
    assert (grown.status, grown.reason) == ("False", "InsufficientStorage")
    assert "needs 30 GiB" in grown.message
    world.fleet.host("a").fill_pool("default", left_bytes=100 * GIB)
    world.run(lambda: world.disk("data").status.capacity_bytes == 40 * GIB, timeout_s=900)


@pytest.mark.parametrize(("is_active", "reason"), [(False, "PoolInactive"), (None, "PoolMissing")])
def test_a_pool_that_is_stopped_or_missing_is_named_and_waited_for(world: World, is_active: bool | None, reason: str) -> None:
    classed(world, local="fast" if is_active is False else "none")
    if is_active is False:
        pool(world, "fast", is_active=False)
    world.apply(disk_yaml("data", source="{}", host="a", extra=", storageClass: local")).apply(instance_yaml("first", "data"))
    world.pass_time(4 * 3600)
    assert said_of_disk(world, "data").reason == reason
    assert why_not_scheduled(world, "first") == reason
    assert world.disk("data").status.phase == "Bound"
    if is_active is False:
        pool(world, "fast", is_active=True)
        world.run(lambda: disk_is_ready(world, "data"), timeout_s=120)


def test_an_image_that_does_not_fit_into_the_pool_says_so_before_it_is_sent(world: World) -> None:
    world.host("a").settle()
    world.fleet.host("a").fill_pool("default", left_bytes=1000)
    world.apply(disk_yaml("root", host="a")).pass_time(60)
    content = find_condition(world.disk("root").status.conditions, "ContentReady")
    assert content is not None
    assert content.reason == "NoCapacity"
    assert "is left" in content.message or "left" in content.message
    assert world.fleet.calls.count("volumes.upload") == 0
    world.fleet.host("a").fill_pool("default", left_bytes=100 * GIB)
    world.run(lambda: disk_is_ready(world, "root"), timeout_s=300)
