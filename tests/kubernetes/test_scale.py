"""Five thousand objects on a real API server: listed in pages, watched from there on, and looked at by a controller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from provisioner.clocks import ManualClock
from provisioner.lifecycle.assembly import controller_of
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.kubernetes.api_server import ApiServer
from provisioner.store.kubernetes.listing import PAGE
from provisioner.store.mirror import Mirror
from tests.contract.stores import resized
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.leaders import Scene
from tests.kubernetes.stores import empty, store_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]

OBJECTS = 5_000
WRITERS = 8
TURNS_MAX = 5 * OBJECTS
COLLECTION = "/apis/apps.cozystack.io/v1alpha1/namespaces/{namespace}/virtualmachines"
MACHINE = {
    "apiVersion": "apps.cozystack.io/v1alpha1",
    "kind": "VirtualMachine",
    "spec": {"running": False, "systemDisk": {"image": "ubuntu", "size": "40Gi"}},
}


@pytest.fixture
def crowd(kinds: ControlPlane, namespace: str) -> Iterator[str]:
    """The namespace with so many VMs that shall not run; they go at the end."""
    with store_of(kinds) as store:
        empty(store, kinds)
    collection = COLLECTION.format(namespace=namespace)
    server = ApiServer.from_kubeconfig(kinds.kubeconfig, clock=ManualClock())

    def make(number: int) -> None:
        server.request("POST", collection, body=MACHINE | {"metadata": {"name": f"vm-{number:04}"}})

    with ThreadPoolExecutor(WRITERS) as writers:
        assert sum(1 for _ in writers.map(make, range(OBJECTS))) == OBJECTS
    yield namespace
    kinds.heal()
    with store_of(kinds, clock=ManualClock()) as store:
        for machine in store.list(VirtualMachine, namespace=namespace).items:
            if machine.metadata.finalizers:
                store.update(machine.with_metadata(finalizers=()))
    server.request("DELETE", collection)


def test_a_controller_looks_at_five_thousand_objects_and_comes_to_rest(kinds: ControlPlane, crowd: str, tmp_path: Path) -> None:
    with ExitStack() as opened:
        scene = Scene(kinds, tmp_path, opened, store_clock=ManualClock())  # without waiting for its rate
        mirror = Mirror(VirtualMachine)
        assert len(mirror.catch_up(scene.store)) == OBJECTS > 2 * PAGE
        controller = controller_of(scene.ports(scene.store), workers=0)
        assert rests(controller.turn)
        machines = scene.store.list(VirtualMachine, namespace=crowd).items
        assert {vm.status.phase for vm in machines} == {"Stopped"}
        scene.store.update(resized(machines[OBJECTS // 2], "u1.large"))
        heard = {after.key for _, after in mirror.catch_up(scene.store) if after is not None}
        assert heard == {vm.key for vm in machines}, "each had its status written"
        passes = controller.passes
        assert rests(controller.turn)
        assert controller.passes - passes <= 3, "one change is worth few passes, whatever else there is"


def rests(turn: Callable[[], float]) -> bool:
    """Whether there is nothing to do any more, within so many turns."""
    return any(turn() > 0 for _ in range(TURNS_MAX))
