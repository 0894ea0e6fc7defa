"""The three free tests over the tables of a KubeVirt cluster: every step twice; failure at each step; every undo twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provisioner.lifecycle.gpu_claim.view import GPUClaimView
from provisioner.lifecycle.kubevirt.claim_table import CLUSTER_CLAIM
from provisioner.lifecycle.kubevirt.hosts import CLUSTER_HOST, ClusterView
from provisioner.lifecycle.kubevirt.table import KUBEVIRT_MACHINE
from provisioner.lifecycle.steps import Lifecycle
from provisioner.lifecycle.verdicts import Done, Retry
from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.virtual_machine import FINALIZER
from tests.lifecycle.clusters import ClusterWorld
from tests.lifecycle.world import vm_yaml

PASSES_MAX = 2000


@dataclass(frozen=True)
class Table:
    """One step table, and how to get an object that walks it."""

    lifecycle: Lifecycle[Any]
    view: Callable[[ClusterWorld], Any]
    going: Callable[[ClusterWorld], object] = lambda _world: None


def _vm(world: ClusterWorld) -> VirtualMachineView:
    if not world.exists("first"):
        world.apply(vm_yaml("first"))
        VirtualMachineView(world.vm("first"), world.ports).ensure_finalizer(FINALIZER)
    return VirtualMachineView(world.vm("first"), world.ports)


def _vm_goes(world: ClusterWorld) -> None:
    _vm(world)
    world.delete("first")


def _claim(world: ClusterWorld) -> GPUClaimView:
    """A claim that its VM has let go of, and whose instance is told to end."""
    if not world.store.list(GPUClaim).items:
        table = TABLES["VirtualMachine"]
        _walk(world, table)
        assert isinstance(table.lifecycle.by_name["verify"].undo(_vm(world)), Done)
        known = world.vm("first").status.machine
        assert known is not None
        cluster = world.ports.clusters.connect("kubevirt://k")
        cluster.destroy(known.namespace, known.name, instance_uid=known.instance_uid)
        cluster.remove(known.namespace, known.name)
        world.store.update(world.vm("first").with_metadata(finalizers=()))
        world.store.delete(world.vm("first").key)
    return GPUClaimView(world.store.list(GPUClaim).items[0], world.ports)


TABLES = {
    "VirtualMachine": Table(KUBEVIRT_MACHINE, _vm, going=_vm_goes),
    "GPUClaim": Table(CLUSTER_CLAIM, _claim),
    "GPUHost": Table(CLUSTER_HOST, lambda world: ClusterView(world.store.get(GPUHost, "k"), world.ports)),
}
STEPS = [(name, step.name) for name, table in TABLES.items() for step in table.lifecycle.steps]


@pytest.fixture
def world(tmp_path: Path) -> ClusterWorld:
    """A world with one surveyed cluster."""
    world = ClusterWorld(tmp_path).cluster("k", n1=2)
    world.settle()
    return world


def _walk(world: ClusterWorld, table: Table, *, until: str | None = None) -> None:
    for step in table.lifecycle.steps:
        if step.name == until:
            return
        _until_done(world, table, step.name)


def _until_done(world: ClusterWorld, table: Table, step: str) -> None:
    settled = {known.name for known in table.lifecycle.steps if known.name != step}
    for _ in range(PASSES_MAX):
        verdict = table.lifecycle.advance(table.view(world), settled=set(settled))
        if isinstance(verdict, Done):
            return
        assert isinstance(verdict, Retry), verdict
        world.clock.sleep(verdict.after_s)
    pytest.fail(f"{step} was not done in {PASSES_MAX} passes")


def _unwind(world: ClusterWorld, table: Table) -> None:
    table.going(world)
    for _ in range(PASSES_MAX):
        verdict = table.lifecycle.unwind(table.view(world), keep_data=False)
        if isinstance(verdict, Done):
            return
        assert isinstance(verdict, Retry), verdict
        world.clock.sleep(verdict.after_s)
    pytest.fail("the undo did not end")


def _leaks(world: ClusterWorld) -> list[Any]:
    world.clock.sleep(5)  # what was told to go is gone by then
    return [leak for leak in world.leaks() if leak.kind != "secret"]


@pytest.mark.parametrize("kind", TABLES)
def test_every_step_may_run_twice(world: ClusterWorld, kind: str) -> None:
    table = TABLES[kind]
    for step in table.lifecycle.steps:
        _until_done(world, table, step.name)
        before = table.view(world).resource.status.model_dump(exclude={"last_seen"})
        _until_done(world, table, step.name)
        assert table.view(world).resource.status.model_dump(exclude={"last_seen"}) == before, step.name
    _unwind(world, table)
    assert _leaks(world) == []


@pytest.mark.parametrize(("kind", "step"), STEPS)
def test_a_failure_at_any_step_leaks_nothing(world: ClusterWorld, kind: str, step: str) -> None:
    table = TABLES[kind]
    _walk(world, table, until=step)
    _unwind(world, table)
    assert _leaks(world) == []


@pytest.mark.parametrize("kind", TABLES)
def test_every_undo_may_run_twice(world: ClusterWorld, kind: str) -> None:
    table = TABLES[kind]
    _walk(world, table)
    _unwind(world, table)
    _unwind(world, table)
    assert _leaks(world) == []


@pytest.mark.parametrize("kind", TABLES)
def test_undo_of_what_was_never_done_is_harmless(world: ClusterWorld, kind: str) -> None:
    _unwind(world, TABLES[kind])
    assert _leaks(world) == []


def test_the_table_sets_the_conditions_of_every_vm_in_their_order() -> None:
    assert [step.sets for step in KUBEVIRT_MACHINE.steps] == [step.sets for step in VIRTUAL_MACHINE.steps]
