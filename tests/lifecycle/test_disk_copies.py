"""Copies of VMDisks: made on the origin's host, only while nothing writes to it, and never mistaken for complete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.lifecycle.background import Finished, Inline, Meter, Running
from provisioner.model.errors import HostUnreachable, HypervisorError
from provisioner.model.metadata import Key
from provisioner.model.virtual_machine import Phase, RunStrategy, VMInstance
from provisioner.model.vm_disk import VMDisk
from tests.lifecycle.disks import (
    GIB,
    disk_is_ready,
    disk_yaml,
    instance_yaml,
    is_ready,
    power,
    said_of_disk,
    volumes,
    why_not_scheduled,
)
from tests.lifecycle.test_crashes import Crash, _survives
from tests.lifecycle.world import World

T = TypeVar("T")
COPY = "{disk: {name: root}}"


class Gated(Inline):
    """Jobs of the world's background, which begin when the gate is opened."""

    def __init__(self) -> None:
        self.is_open = False

    def run(self, name: str, job: Callable[[Meter], T], *, waiter: Key | None = None) -> Running | Finished[T]:
        return super().run(name, job) if self.is_open or not name.startswith("copy") else Running(Meter(1, 2))

    def is_under_way(self, name: str) -> bool:
        return name.startswith("copy") and not self.is_open


@pytest.fixture
def root(world: World) -> World:
    """A host, and a disk `root` on it that a stopped VM has been ready with."""
    world.host("a").apply(disk_yaml("root")).apply(instance_yaml("first", "root")).settle()
    return power(world, "first", RunStrategy.HALTED).settle()


def test_a_copy_is_made_where_its_origin_is_and_boots_another_vm(root: World) -> None:
    root.apply(disk_yaml("copied", source=COPY)).apply(instance_yaml("second", "copied"))
    root.run(lambda: is_ready(root, "second"))
    copied = root.disk("copied").status
    assert (copied.host, copied.capacity_bytes) == ("a", 10 * GIB)
    assert copied.origin is not None
    assert (copied.origin.source, copied.origin.name, copied.origin.uid) == ("disk", "root", root.disk("root").metadata.uid)
    assert root.disk("root").status.copied_to == ""


def test_a_copy_outlives_its_origin(root: World) -> None:
    root.apply(disk_yaml("copied", source=COPY)).run(lambda: disk_is_ready(root, "copied"))
    root.delete("first", VMInstance).delete("root", VMDisk).run(lambda: not root.exists("root", VMDisk))
    root.apply(instance_yaml("second", "copied")).run(lambda: is_ready(root, "second"))


def test_a_copy_may_be_larger_than_its_origin(root: World) -> None:
    root.apply(disk_yaml("copied", source=COPY, storage="30Gi")).run(lambda: disk_is_ready(root, "copied"))
    assert root.disk("copied").status.capacity_bytes == 30 * GIB


def test_a_copy_that_is_smaller_than_its_origin_fails_with_both_sizes(root: World) -> None:
    root.apply(disk_yaml("copied", source=COPY, storage="8Gi")).run(lambda: root.disk("copied").status.phase == "Failed")
    assert "10Gi" in said_of_disk(root, "copied").message
    assert "8Gi" in said_of_disk(root, "copied").message


def test_a_copy_waits_until_the_vm_that_uses_its_origin_is_stopped(root: World) -> None:
    power(root, "first", RunStrategy.ALWAYS).run(lambda: is_ready(root, "first"))
    root.apply(disk_yaml("copied", source=COPY)).pass_time(3600)
    said = said_of_disk(root, "copied")
    assert (said.reason, "`first`" in said.message) == ("OriginInUse", True)
    assert volumes(root) == sorted(name for name in volumes(root) if "copied" not in name)
    power(root, "first", RunStrategy.HALTED).run(lambda: disk_is_ready(root, "copied"))


def test_a_vm_does_not_start_with_a_disk_that_is_being_copied(root: World) -> None:
    gate = Gated()
    root.ports = replace(root.ports, background=gate)
    root.start_controller()
    root.apply(disk_yaml("copied", source=COPY)).run(lambda: root.disk("root").status.copied_to == "copied")
    power(root, "first", RunStrategy.ALWAYS).pass_time(900)
    assert why_not_scheduled(root, "first") == "DiskBeingCopied"
    assert root.vm("first", VMInstance).status.phase is Phase.PENDING
    assert said_of_disk(root, "copied").message.startswith("VMDisk `root`")
    gate.is_open = True
    root.run(lambda: is_ready(root, "first"))
    assert disk_is_ready(root, "copied")


def test_an_origin_that_is_deleted_meanwhile_stays_until_its_copy_is_made(root: World) -> None:
    gate = Gated()
    root.ports = replace(root.ports, background=gate)
    root.start_controller()
    root.apply(disk_yaml("copied", source=COPY)).run(lambda: root.disk("root").status.copied_to == "copied")
    root.delete("first", VMInstance).delete("root", VMDisk).pass_time(600)
    assert root.exists("root", VMDisk)
    gate.is_open = True
    root.run(lambda: not root.exists("root", VMDisk) and disk_is_ready(root, "copied"))


def test_a_copy_that_is_deleted_before_it_is_made_sets_its_origin_free(root: World) -> None:
    gate = Gated()
    root.ports = replace(root.ports, background=gate)
    root.start_controller()
    root.apply(disk_yaml("copied", source=COPY)).run(lambda: root.disk("root").status.copied_to == "copied")
    root.delete("copied", VMDisk).pass_time(60)
    assert root.exists("copied", VMDisk)  # what is being written cannot be removed
    gate.is_open = True
    root.run(lambda: not root.exists("copied", VMDisk))
    power(root, "first", RunStrategy.ALWAYS).run(lambda: is_ready(root, "first"))


def test_a_copy_that_fails_sets_its_origin_free_and_is_tried_again(root: World) -> None:
    root.fleet.faults.stage(Fault(HypervisorError("no"), call="volumes.clone", times=3))
    root.apply(disk_yaml("copied", source=COPY)).run(lambda: root.fleet.calls.count("volumes.clone") == 1)
    assert root.disk("root").status.copied_to == ""
    root.run(lambda: disk_is_ready(root, "copied"))


def test_copies_of_copies_are_made_one_after_the_other(root: World) -> None:
    root.apply(disk_yaml("third", source="{disk: {name: second}}")).apply(disk_yaml("second", source=COPY))
    root.run(lambda: disk_is_ready(root, "third"))
    assert root.disk("third").status.host == "a"


def test_a_copy_of_what_does_not_exist_waits_for_it(world: World) -> None:
    world.host("a").apply(disk_yaml("copied", source=COPY)).apply(instance_yaml("first", "copied")).pass_time(7200)
    assert said_of_disk(world, "copied").reason == "OriginMissing"
    assert why_not_scheduled(world, "first") == "OriginMissing"
    assert world.vm("first", VMInstance).status.consecutive_failures == 0
    world.apply(disk_yaml("root", host="a")).run(lambda: is_ready(world, "first"))


def test_a_copy_is_not_made_on_another_host(root: World) -> None:
    root.host("b").apply(disk_yaml("copied", source=COPY, host="b")).pass_time(600)
    assert said_of_disk(root, "copied").reason == "OriginElsewhere"
    assert volumes(root, host="b") == []


@pytest.mark.parametrize("takes_effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("error", [Crash(), HostUnreachable("gone")], ids=["crash", "lost"])
def test_whatever_becomes_of_the_call_there_is_one_copy_and_the_origin_is_free(
    root: World, error: Any, takes_effect: bool
) -> None:
    root.fleet.faults.stage(Fault(error, call="volumes.clone", takes_effect=takes_effect))
    root.apply(disk_yaml("copied", source=COPY))
    _survives(root, lambda: disk_is_ready(root, "copied"))
    assert root.disk("root").status.copied_to == ""
    root.delete("copied", VMDisk).run(lambda: not root.exists("copied", VMDisk))
    assert [name for name in volumes(root) if "copied" in name] == []
