"""Five thousand objects on a real API server: listed in pages, watched from there on, and queued by a controller."""

from __future__ import annotations

from collections.abc import Iterator
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
from tests.contract.stores import eventually, resized
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.leaders import Scene
from tests.kubernetes.stores import empty, store_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]

OBJECTS = 5_000
WRITERS = 8
PASSES = 50
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


def test_five_thousand_objects_are_listed_watched_and_queued(kinds: ControlPlane, crowd: str, tmp_path: Path) -> None:
    """What a controller takes for all of them is measured, not tested: `python -m benchmarks kubernetes`."""
    with ExitStack() as opened:
        scene = Scene(kinds, tmp_path, opened, store_clock=ManualClock())  # without waiting for its rate
        mirror = Mirror(VirtualMachine)
        fresh = {after.key: after for _, after in mirror.catch_up(scene.store) if after is not None}
        assert len(fresh) == OBJECTS > 2 * PAGE
        controller = controller_of(scene.ports(scene.store), workers=0)
        for _ in range(PASSES):
            assert controller.turn() == 0.0, "there is more to do"
        assert OBJECTS - PASSES <= controller.queue.state().due <= OBJECTS
        machines = scene.store.list(VirtualMachine, namespace=crowd).items
        written = {vm.key for vm in machines if vm != fresh[vm.key]}
        assert 0 < len(written) <= PASSES
        assert {after.key for _, after in mirror.catch_up(scene.store) if after is not None} == written
        other = opened.enter_context(store_of(kinds, clock=ManualClock()))
        changed = other.update(resized(machines[-1], "u1.large"))
        assert eventually(lambda: changed.key in {after.key for _, after in mirror.catch_up(scene.store) if after is not None})
