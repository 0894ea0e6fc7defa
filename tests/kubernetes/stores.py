"""The store's bench on a real API server: for each test an empty store, in a control plane that all tests of a worker share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from provisioner.clocks import ManualClock, SystemClock
from provisioner.model.clock import Clock
from provisioner.model.errors import NotFound
from provisioner.model.kinds import KINDS
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.kubernetes.api_server import REQUEST_TIMEOUT_S, ApiServer
from provisioner.store.kubernetes.store import KubernetesStore
from provisioner.store.protocol import Store
from tests.contract.stores import StoreBench, eventually
from tests.kubernetes.control_plane import ControlPlane

NAMESPACES = ("a", "b", "other", "elsewhere")
LACKS = {
    "names of any spelling": "the API server takes DNS names only",
    "labels of any spelling": "the API server takes what it calls qualified names only",
    "creation times": "the API server sets them",
    "a clock of its own": "the API server's clock is the machine's",
    "one version for all": "a version of a change is one of the process that watches",
    "owners in a namespace of what is in none": "the garbage collector takes such an owner for gone",
    "circles of owners": "the garbage collector breaks them in its own way",
    "owners that are gone already": "the garbage collector removes what names them",
    "two stores at once": "there is one control plane",
    "bounds on events": "the API server forgets events after an hour",
}


def store_of(
    plane: ControlPlane,
    *,
    kubeconfig: Path | None = None,
    request_timeout_s: float = REQUEST_TIMEOUT_S,
    clock: Clock | None = None,
    **settings: Any,
) -> KubernetesStore:
    """A store as the administrator has it, or whoever else's kubeconfig it is."""
    clock = clock or SystemClock()
    server = ApiServer.from_kubeconfig(kubeconfig or plane.kubeconfig, clock=clock, request_timeout_s=request_timeout_s)
    return KubernetesStore(server, clock=clock, tables=Tables.builtin(), **settings)


def empty(store: Store, plane: ControlPlane) -> None:
    """Remove every object of ours, whatever holds it back, and every event."""
    for namespace in plane.admin.get("/api/v1/namespaces")["items"]:
        plane.admin.delete(f"/apis/events.k8s.io/v1/namespaces/{namespace['metadata']['name']}/events")
    for kind in KINDS.values():
        for item in store.list(kind).items:
            if item.metadata.finalizers:
                store.update(item.with_metadata(finalizers=()))
            try:
                store.delete(item.key)
            except NotFound:
                continue
    assert eventually(lambda: not any(store.list(kind).items for kind in KINDS.values()))


class Bench:
    """Makes benches, and closes what they opened."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._opened: list[KubernetesStore] = []

    def bench(self) -> StoreBench:
        """One bench with an empty store."""
        return StoreBench(self._fresh, ManualClock(), LACKS)

    def close(self) -> None:
        """Stop watching."""
        for store in self._opened:
            store.close()

    def _fresh(self, **settings: Any) -> Store:
        with store_of(self._plane) as before:
            empty(before, self._plane)
        kept = {name: value for name, value in settings.items() if name == "history_kept"}  # clock and names are the server's
        store = store_of(self._plane, **kept)
        self._opened.append(store)
        store.watch(store.list(VirtualMachine).version, timeout_s=0)  # from now on its history is complete
        return store
