"""A control loop over a real API server and simulated hosts, every write of which is kept; and the loop that repeats them.

The repeated writes differ in the namespace and in the names of the hosts only, so that nothing has to be removed in between.
They go to the same server through the same client, one after the other, without its bound on requests per second.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.meters import Milestones, metered
from benchmarks.rig import BenchError
from provisioner.clocks import ManualClock, SystemClock, SystemIdentifiers
from provisioner.drivers.images.protocol import LocalImage
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.guests import SimulatedGuests
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.drivers.simulated.presets import EIGHT_H100
from provisioner.drivers.volumes import Progress
from provisioner.lifecycle.assembly import WORKERS, controller_of
from provisioner.lifecycle.background import Threads
from provisioner.lifecycle.ports import Ports
from provisioner.model.errors import ImageError
from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.metadata import Metadata
from provisioner.model.tables import Tables
from provisioner.store.kubernetes.api_server import JSON, ApiServer
from provisioner.store.kubernetes.store import KubernetesStore
from tests.kubernetes.control_plane import ControlPlane

GPUS_PER_HOST = 8
GPU = "nvidia.com/GH100_H100_SXM5_80GB"
OURS, BARE = "bench-hikube", "bench-bare"
HOST = "bench-hikube-{number:04}"
MACHINES = "/apis/apps.cozystack.io/v1alpha1/namespaces/{namespace}/virtualmachines"
LIMIT_S = 1_800.0
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Figures:
    """What one side took."""

    wall_s: float
    cpu_s: float
    writes: int
    reads: int


@dataclass(frozen=True, slots=True)
class Write:
    """One request that changes something."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Document | None
    content_type: str


class KeepingServer(ApiServer):
    """Keeps every write, in the order in which they were answered."""

    def __init__(self, configuration: Any, **settings: Any) -> None:
        super().__init__(configuration, **settings)
        self.writes: list[Write] = []
        self.reads = 0

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Document | None = None,
        content_type: str = JSON,
    ) -> Document:
        """As ApiServer does. One that was refused is not kept."""
        answer = super().request(method, path, query=query, body=body, content_type=content_type)
        if method == "GET":
            self.reads += 1
        else:
            self.writes.append(Write(method, path, query or {}, body, content_type))
        return answer


class NoImages:
    """Images that are on their way until the end."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def fetch(self, url: str, *, sha256: str = "", progress: Progress | None = None) -> LocalImage:
        """Waits; see the protocol."""
        self.ended.wait(LIMIT_S)
        raise ImageError(f"{url} never came")


class KubernetesRig:
    """Use as a context."""

    def __init__(self, plane: ControlPlane, directory: Path, *, vms: int) -> None:
        self._plane = plane
        self._vms = vms
        self._hosts = -(-vms // GPUS_PER_HOST)
        self._opened = ExitStack()
        self._milestones = Milestones()
        self._server = KeepingServer.from_kubeconfig(plane.kubeconfig, clock=SystemClock())
        self._user = ApiServer.from_kubeconfig(plane.kubeconfig, clock=ManualClock())
        """Whoever applies, and the bare loop: a clock that moves when it sleeps is no bound on its rate."""
        for namespace in (OURS, BARE):
            plane.make_namespace(namespace)
        self._controller = controller_of(self._ports(), workers=WORKERS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.close()
        self._opened.close()

    def bring_up(self) -> Figures:
        """Hosts first; then from the first VM that is applied to the last that holds its claim."""
        self._run(lambda: self._milestones.finished("sweep") >= self._hosts)
        writes, reads = len(self._server.writes), self._server.reads
        with metered() as cost:
            user = threading.Thread(target=self._apply)
            user.start()
            self._run(lambda: self._milestones.finished("reserve") >= self._vms)
            user.join()
        self._kept = self._server.writes[writes:]
        return Figures(cost.wall_s, cost.cpu_s, len(self._kept) + self._vms, self._server.reads - reads)

    def repeat_bare(self) -> Figures:
        """The same VMs and the same writes again, elsewhere."""
        stored: dict[str, Document] = {}
        with metered() as cost:
            for number in range(self._vms):
                self._send(Write("POST", MACHINES.format(namespace=OURS), {}, _machine(number), JSON), stored)
            for write in self._kept:
                self._send(write, stored)
        return Figures(cost.wall_s, cost.cpu_s, len(self._kept) + self._vms, 0)

    def _send(self, write: Write, stored: dict[str, Document]) -> None:
        """As if the object had been read before: what is stored under that name says its version and its uid."""
        path = write.path.replace(OURS, BARE)
        body = json.loads(json.dumps(write.body).replace(OURS, BARE)) if write.body is not None else None
        known = stored.get(path.removesuffix("/status"), {})
        for name in ("resourceVersion", "uid"):
            if body is not None and name in body.get("metadata", {}):
                body["metadata"][name] = known.get(name)
        answer = self._user.request(write.method, path, query=write.query, body=body, content_type=write.content_type)
        if write.method == "POST":
            path = f"{path}/{answer['metadata']['name']}"
        stored[path.removesuffix("/status")] = answer.get("metadata", {})

    def _apply(self) -> None:
        for number in range(self._vms):
            self._user.request("POST", MACHINES.format(namespace=OURS), body=_machine(number))

    def _run(self, done: Any) -> None:
        if not self._controller.run_until(lambda: bool(self._milestones.failures) or done(), timeout_s=LIMIT_S):
            raise BenchError("the controller did not get there in its time")
        if self._milestones.failures:
            raise BenchError(self._milestones.failures[0])

    def _ports(self) -> Ports:
        clock, images = SystemClock(), NoImages()
        self._opened.callback(images.ended.set)
        fleet = SimulatedFleet(clock, seed=1)
        store = KubernetesStore(self._server, clock=clock, tables=Tables.builtin())
        self._opened.callback(store.close)
        for number in range(self._hosts):
            name = HOST.format(number=number)
            fleet.add_host(name, EIGHT_H100)
            store.create(GPUHost(metadata=Metadata(name=name), spec=GPUHostSpec(uri=f"simulated://{name}")))
        return Ports(
            store=store,
            connector=SimulatedConnector(fleet),
            guests=SimulatedGuests(fleet),
            images=images,
            clock=clock,
            identifiers=SystemIdentifiers(),
            tables=Tables.builtin(),
            background=Threads(),
            observer=self._milestones,
        )


def _machine(number: int) -> Document:
    return {
        "apiVersion": "apps.cozystack.io/v1alpha1",
        "kind": "VirtualMachine",
        "metadata": {"name": f"vm-{number:05}"},
        "spec": {
            "running": True,
            "instanceType": "u1.2xlarge",
            "gpus": [{"name": GPU}],
            "systemDisk": {"image": "ubuntu", "size": "40Gi"},
        },
    }
