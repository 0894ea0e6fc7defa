"""From a file to a cluster, with a real guest on a real GPU: it is moved without being touched, and its like is made there.

The store is a real API server; the host is the box. See docs/how-to/move-to-kubernetes.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from cli.cluster import NAMESPACE
from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.model.errors import NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.metadata import Metadata, find_condition
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.protocol import Store
from tests.e2e.operator import Operator
from tests.e2e.rig import Rig
from tests.kubernetes.conftest import control_plane, kinds, tools  # noqa: F401  # fixtures
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.stores import store_of
from tests.libvirt.mortal_controller import VM

BOOT_S = 900.0
CLEAN_S = 300.0
STEPS = {step.sets for step in VIRTUAL_MACHINE.steps}


@pytest.fixture
def plane(kinds: ControlPlane) -> ControlPlane:  # noqa: F811
    """With a place for the lease."""
    kinds.make_namespace(NAMESPACE)
    return kinds


@pytest.fixture
def store(plane: ControlPlane) -> Iterator[Store]:
    """What the cluster has."""
    with store_of(plane) as opened:
        yield opened


@pytest.mark.timeout(2400)
def test_a_running_vm_is_moved_to_a_cluster_and_its_like_gets_ready_there_by_the_same_steps(
    rig: Rig, plane: ControlPlane, store: Store
) -> None:
    before, here = rig.drivers(), Operator(rig)
    rig.apply()
    with here.controlling():
        here.waits(here.is_ready, until="ready by the file", timeout_s=BOOT_S)
    known = rig.vm()
    here.types("migrate", "--from", "sqlite", "--to", "kubernetes", "--to-kubeconfig", str(plane.kubeconfig))
    there = Operator(rig, kubeconfig=plane.kubeconfig)
    with there.controlling():
        there.waits(partial(_is_ready, store, VM), until="ready in the cluster", timeout_s=CLEAN_S)
        moved = store.get(VirtualMachine, VM, namespace="default")
        assert (moved.metadata.uid, moved.status.boot_id) == (known.metadata.uid, known.status.boot_id)
        assert rig.on_box("virsh --quiet list --name").split() == [known.status.domain]
        _is_deleted(there, store, VM)
        assert rig.drivers() == before
        store.create(VirtualMachine(metadata=Metadata(name="second", namespace="default"), spec=known.spec))
        there.waits(partial(_is_ready, store, "second"), until="its like is ready", timeout_s=BOOT_S)
        assert _steps(store.get(VirtualMachine, "second", namespace="default")) == _steps(known)
        _is_deleted(there, store, "second")
    assert rig.drivers() == before


def _is_ready(store: Store, name: str) -> bool:
    found = find_condition(store.get(VirtualMachine, name, namespace="default").status.conditions, "Ready")
    return found is not None and found.status == "True"


def _steps(vm: VirtualMachine) -> list[str]:
    """The conditions of its table, in the order in which they came to hold."""
    held = [known for known in vm.status.conditions if known.type in STEPS and known.status == "True"]
    return [known.type for known in sorted(held, key=lambda known: known.last_transition_time)]


def _is_deleted(operator: Operator, store: Store, name: str) -> None:
    store.delete(store.get(VirtualMachine, name, namespace="default").key)
    operator.waits(partial(_is_gone, store, name), until=f"{name} is gone", timeout_s=CLEAN_S)


def _is_gone(store: Store, name: str) -> bool:
    try:
        store.get(VirtualMachine, name, namespace="default")
    except NotFound:
        return not store.list(GPUClaim).items
    return False
