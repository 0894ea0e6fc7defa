"""Three tests that every step table gets for free: every step twice; failure at each step; every undo twice.

A table joins by an entry in TABLES: how its object comes to be, how it is looked at, and what must be gone afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provisioner.lifecycle.gpu_claim.table import GPU_CLAIM
from provisioner.lifecycle.gpu_claim.view import GPUClaimView
from provisioner.lifecycle.gpu_hosts import GPU_HOST, GPUHostView
from provisioner.lifecycle.steps import Lifecycle
from provisioner.lifecycle.verdicts import Done, Retry
from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.lifecycle.vm_disks import VM_DISK, VMDiskView
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.virtual_machine import FINALIZER
from tests.lifecycle.world import World, vm_yaml

PASSES_MAX = 2000


@dataclass(frozen=True)
class Table:
    """One step table, and how to get an object that walks it."""

    lifecycle: Lifecycle[Any]
    view: Callable[[World], Any]
    leaks: Callable[[World], list[Any]] = World.leaks
    going: Callable[[World], object] = lambda _world: None
    """What is asked for before its steps are undone for good."""


def _vm(world: World) -> VirtualMachineView:
    if not world.exists("first"):
        world.apply(vm_yaml("first"))
        VirtualMachineView(world.vm("first"), world.ports).ensure_finalizer(FINALIZER)
    return VirtualMachineView(world.vm("first"), world.ports)


def _vm_goes(world: World) -> None:
    _vm(world)
    world.delete("first")


def _claim(world: World) -> GPUClaimView:
    """A claim that its VM has let go of, after a guest had the GPU."""
    released = [claim for claim in world.store.list(GPUClaim).items if claim.is_released]
    if not released:
        _walk(world, TABLES["VirtualMachine"])
        _unwind(world, TABLES["VirtualMachine"])
        world.store.update(world.vm("first").with_metadata(finalizers=()))
        released = list(world.store.list(GPUClaim).items)
    return GPUClaimView(released[0], world.ports)


def _disk(world: World) -> VMDiskView:
    from provisioner.model.vm_disk import VMDisk

    if not world.exists("data", VMDisk):
        world.apply(DISK)
        world.store.update_status(world.disk("data").with_status(host="a"))
    return VMDiskView(world.disk("data"), world.ports)


DISK = """
apiVersion: apps.cozystack.io/v1alpha1
kind: VMDisk
metadata: {name: data}
spec: {storage: 10Gi, source: {image: {name: ubuntu-2404}}}
"""

TABLES = {
    "VirtualMachine": Table(VIRTUAL_MACHINE, _vm, going=_vm_goes),
    "VMDisk": Table(VM_DISK, _disk),
    "GPUClaim": Table(GPU_CLAIM, _claim),
    "GPUHost": Table(GPU_HOST, lambda world: GPUHostView(world.store.get(GPUHost, "a"), world.ports)),
}
STEPS = [(name, step.name) for name, table in TABLES.items() for step in table.lifecycle.steps]


@pytest.fixture
def host(tmp_path: Path) -> World:
    """A world with one surveyed host."""
    return World(tmp_path).host("a").settle()


def _walk(world: World, table: Table, *, until: str | None = None) -> None:
    """Do every step in order, each until it is Done; stop before `until`."""
    for step in table.lifecycle.steps:
        if step.name == until:
            return
        _until_done(world, table, step.name)


def _until_done(world: World, table: Table, step: str) -> None:
    settled = {known.name for known in table.lifecycle.steps if known.name != step}
    for _ in range(PASSES_MAX):
        verdict = table.lifecycle.advance(table.view(world), settled=set(settled))
        if isinstance(verdict, Done):
            return
        assert isinstance(verdict, Retry), verdict
        world.clock.sleep(verdict.after_s)
    pytest.fail(f"{step} was not done in {PASSES_MAX} passes")


def _unwind(world: World, table: Table) -> None:
    table.going(world)
    for _ in range(PASSES_MAX):
        verdict = table.lifecycle.unwind(table.view(world), keep_data=False)
        if isinstance(verdict, Done):
            return
        assert isinstance(verdict, Retry), verdict
        world.clock.sleep(verdict.after_s)
    pytest.fail("the undo did not end")


@pytest.mark.parametrize("kind", TABLES)
def test_every_step_may_run_twice(host: World, kind: str) -> None:
    table = TABLES[kind]
    for step in table.lifecycle.steps:
        _until_done(host, table, step.name)
        before = table.view(host).resource.status.model_dump(exclude={"last_seen"})
        _until_done(host, table, step.name)
        assert table.view(host).resource.status.model_dump(exclude={"last_seen"}) == before, step.name
    _unwind(host, table)
    assert table.leaks(host) == []


@pytest.mark.parametrize(("kind", "step"), STEPS)
def test_a_failure_at_any_step_leaks_nothing(host: World, kind: str, step: str) -> None:
    table = TABLES[kind]
    _walk(host, table, until=step)
    _unwind(host, table)
    assert table.leaks(host) == []


@pytest.mark.parametrize("kind", TABLES)
def test_every_undo_may_run_twice(host: World, kind: str) -> None:
    table = TABLES[kind]
    _walk(host, table)
    _unwind(host, table)
    _unwind(host, table)
    assert table.leaks(host) == []


@pytest.mark.parametrize("kind", TABLES)
def test_undo_of_what_was_never_done_is_harmless(host: World, kind: str) -> None:
    _unwind(host, TABLES[kind])
    assert TABLES[kind].leaks(host) == []
