"""Disks under a storm: made, copied, attached, grown, kept and deleted in any order, with crashes and full pools, from a seed.

Safety, after every event: no copy is made while a guest writes to its origin (the twin refuses it, as qemu-img does), and no
volume with data disappears without its disk. Liveness, after the storm: what can be made is made, and all of it can go.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.lifecycle.background import Finished, Inline, Meter, Running
from provisioner.model.clock import Clock
from provisioner.model.errors import Conflict, HikubeError, HostUnreachable, HypervisorError, NotFound
from provisioner.model.metadata import Key, find_condition
from provisioner.model.virtual_machine import RunStrategy, VMInstance
from provisioner.model.vm_disk import VMDisk
from tests.lifecycle.disks import GIB, disk_is_ready, disk_yaml, instance_yaml
from tests.lifecycle.world import World

T = TypeVar("T")
NAMES = ("one", "two", "three", "four")
VMS = ("first", "second")
EVENTS = 120
COPY_S = 40.0


@dataclass
class Copy:
    """A copy on its way: done when its time has come, whether anybody asks or not."""

    due_s: float
    job: Callable[[Meter], Any]
    is_done: bool = False
    result: Any = None
    error: Exception | None = None

    def settle(self, now_s: float) -> None:
        """Let it have happened."""
        if self.is_done or now_s < self.due_s:
            return
        self.is_done = True
        try:
            self.result = self.job(Meter())
        except HikubeError as error:
            self.error = error


class Later(Inline):
    """Copies take their time; everything else is done at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._copies: dict[str, Copy] = {}

    def run(self, name: str, job: Callable[[Meter], T], *, waiter: Key | None = None) -> Running | Finished[T]:
        if not name.startswith("copy"):
            return super().run(name, job)
        found = self._copies.setdefault(name, Copy(self._clock.monotonic_s() + COPY_S, job))
        found.settle(self._clock.monotonic_s())
        if not found.is_done:
            return Running(Meter())
        del self._copies[name]
        if found.error is not None:
            raise found.error
        return Finished(found.result)

    def is_under_way(self, name: str) -> bool:
        return name in self.under_way()

    def under_way(self) -> list[str]:
        """Names of the copies that have not ended."""
        for found in self._copies.values():
            found.settle(self._clock.monotonic_s())
        return [name for name, found in self._copies.items() if not found.is_done]

    def forget(self, name: str) -> None:
        if name not in self.under_way():
            self._copies.pop(name, None)


class Storm:
    """Random wishes of users and mishaps of the host."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.said: list[str] = []

    def event(self) -> None:
        """One of them."""
        often = (self.make, self.attach, self.power) * 4
        action = self.random.choice((*often, self.grow, self.drop_disk, self.drop_vm, self.crash, self.fail, self.fill))
        self.said.append(action.__name__)
        try:
            action()
        except (NotFound, Conflict):
            return  # there is none, or it is going

    def make(self) -> None:
        name = self.random.choice(NAMES)
        if self.world.exists(name, VMDisk):
            return
        origin = self.random.choice([other for other in NAMES if other != name])
        copied = f"{{disk: {{name: {origin}}}}}"
        source = self.random.choice(["{}", "{image: {name: ubuntu-2404}}", copied, copied])
        host = self.random.choice(["", "a", "a"])
        self.world.apply(disk_yaml(name, source=source, storage="60Gi", host=host if "disk" not in source else ""))

    def attach(self) -> None:
        name = self.random.choice(VMS)
        if not self.world.exists(name, VMInstance):
            self.world.apply(instance_yaml(name, *self.random.sample(self._there(), 1)))

    def _there(self) -> list[str]:
        return [disk.metadata.name for disk in self.world.store.list(VMDisk).items] or ["one"]

    def power(self) -> None:
        vm = self.world.vm(self.random.choice(VMS), VMInstance)
        strategy = self.random.choice((RunStrategy.HALTED, RunStrategy.ALWAYS))
        self.world.store.update(vm.model_copy(update={"spec": vm.spec.model_copy(update={"run_strategy": strategy})}))

    def grow(self) -> None:
        disk = self.world.disk(self.random.choice(NAMES))
        spec = disk.spec.model_copy(update={"storage": f"{self.random.randint(60, 90)}Gi"})
        self.world.store.update(disk.model_copy(update={"spec": spec}))

    def drop_disk(self) -> None:
        self.world.delete(self.random.choice(NAMES), VMDisk)

    def drop_vm(self) -> None:
        self.world.delete(self.random.choice(VMS), VMInstance)

    def crash(self) -> None:
        begin_anew(self.world)

    def fail(self) -> None:
        error = self.random.choice((HostUnreachable("gone"), HypervisorError("no")))
        call = self.random.choice(("volumes.clone", "volumes.create", "volumes.find", "volumes.delete", "volumes.resize"))
        self.world.fleet.faults.stage(Fault(error, call=call, takes_effect=self.random.random() < 0.5))

    def fill(self) -> None:
        self.world.fleet.host("a").fill_pool("default", left_bytes=self.random.choice((GIB, 500 * GIB)))


def begin_anew(world: World) -> None:
    """The controller dies, and what it did beside its passes with it."""
    world.ports = replace(world.ports, background=Later(world.clock))
    world.start_controller()


def complaints(world: World) -> list[str]:
    """What hypervisors said of files in use; whatever is asked of a running guest's disk must have been held back before."""
    return [event.message for event in world.store.events() if "lock" in event.message]


def written_to_while_copied(world: World) -> list[str]:
    """Copies on their way whose origin a running guest has."""
    assert isinstance(world.ports.background, Later)
    with world.fleet.host("a").peek() as state:
        live = {disk.path.rpartition("/")[2] for _, config in state.running() for disk in config.disks}
    disks = {disk.metadata.name: disk for disk in world.store.list(VMDisk).items}
    names = [name.split()[3].partition("/")[2] for name in world.ports.background.under_way()]
    copies = [disks[name] for name in names if name in disks]
    origins = [copied.spec.source.disk.name for copied in copies if copied.spec.source.disk is not None]
    return [name for name in origins if name in disks and disks[name].status.volume in live]


def gone(world: World) -> bool:
    return not world.store.list(VMDisk).items and not world.store.list(VMInstance).items


@pytest.mark.parametrize("seed", [0, 7, 16, 35, 63, 101, 108])
def test_disks_survive_a_storm(tmp_path: Path, seed: int) -> None:
    world = World(tmp_path, seed=seed).host("a", pools={"default": 1000 * GIB}).settle()
    begin_anew(world)
    storm = Storm(world, seed)
    for _ in range(EVENTS):
        storm.event()
        world.pass_time(storm.random.choice((1, 5, 20, 45, 120)))
        assert complaints(world) == [], storm.said
        assert written_to_while_copied(world) == [], storm.said

    world.fleet.faults.clear()
    world.fleet.host("a").fill_pool("default", left_bytes=900 * GIB)
    for vm in world.store.list(VMInstance).items:
        world.delete(vm.metadata.name, VMInstance)
    world.run(lambda: not world.store.list(VMInstance).items).pass_time(1800)
    for disk in world.store.list(VMDisk).items:
        assert disk_is_ready(world, disk.metadata.name) or waits_with_reason(disk), (disk, storm.said)
        assert disk.status.copied_to == ""
    for disk in world.store.list(VMDisk).items:
        world.delete(disk.metadata.name, VMDisk)
    world.run(lambda: gone(world), timeout_s=7200)
    assert world.leaks() == []


def waits_with_reason(disk: VMDisk) -> bool:
    """Whether it waits for somebody who is not there any more, or failed for good, and says so."""
    said = find_condition(disk.status.conditions, "Ready")
    rightly = ("WaitForFirstConsumer", "OriginMissing", "OriginNotReady", "OriginElsewhere")
    return disk.status.phase == "Failed" or (said is not None and said.reason in rightly)
