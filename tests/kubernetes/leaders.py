"""Leaders of one cluster in virtual time: a real API server and its real Lease, simulated hosts, and all in one process.

So a leader ends between two calls and nowhere else. One that is killed goes no further; one that freezes does so in a thread of
its own, and goes on with the very call before which it froze when it is woken up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from cli.cluster import NAMESPACE
from provisioner.clocks import ManualClock, SeededIdentifiers, SystemClock
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.guests import SimulatedGuests
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.drivers.simulated.images import SimulatedImages
from provisioner.drivers.simulated.presets import L40S
from provisioner.lifecycle.assembly import behind, controller_of
from provisioner.lifecycle.ports import Ports
from provisioner.model.clock import Clock
from provisioner.model.documents import parse_documents
from provisioner.model.errors import ControllerBusy, StoreUnavailable
from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.metadata import Metadata, find_condition
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.kubernetes.api_server import ApiServer
from provisioner.store.kubernetes.leader_lease import REQUEST_TIMEOUT_S, LeaderLease
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.stores import store_of
from tests.lifecycle.world import vm_yaml

NO_END = 10**9
TURNS_MAX = 20_000
TURNS_AFTERWARDS = 50
FROZEN_MAX_S = 240.0
HEARING_S = 0.05
"""Of real time, in which the API server tells what it was told, before virtual time passes."""
PAUSE_MAX_S = 4.0
"""Of virtual time: leaders renew their leases as often as that."""


class Ended(BaseException):
    """The process goes no further: no code of ours catches it."""


class Leader:
    """One process: its own store, its own lease, its own memory; the hosts are everybody's."""

    def __init__(self, scene: Scene, number: int, *, calls: int, freezes: bool = False) -> None:
        self.name = f"leader-{number}"
        self.refused = 0
        self.is_frozen, self._wakes = threading.Event(), threading.Event()
        self._left = calls
        self.freezes = freezes
        self._scene = scene
        store = scene.opened.enter_context(store_of(scene.plane))
        server = ApiServer.from_kubeconfig(scene.plane.kubeconfig, clock=SystemClock(), request_timeout_s=REQUEST_TIMEOUT_S)
        self.lease = LeaderLease(
            server, namespace=NAMESPACE, clock=scene.clock, identity=self.name, command="test", renews=False
        )
        self._controller = controller_of(behind(scene.ports(store), self._fence), workers=0)
        self._thread = threading.Thread(target=self._live, name=self.name, daemon=True)

    def work(self, done: Callable[[], bool]) -> None:
        """Until that holds; it renews its lease as long as it lives. Raises Ended."""
        for _ in range(TURNS_MAX):
            if done():
                return
            with suppress(StoreUnavailable):
                self.lease.renew()
            idle_s = self._controller.turn()
            if idle_s:
                self._scene.let_pass(idle_s)
        raise AssertionError(f"{self.name} does not come to an end\n{self._scene.summary()}")

    def work_until_frozen(self) -> None:
        """In a thread of its own, which stays in the middle of its call."""
        self._thread.start()
        assert self.is_frozen.wait(FROZEN_MAX_S), f"{self.name} was through before its end\n{self._scene.summary()}"

    def wake_up(self) -> None:
        """It never knew that it was away. Returns when it has been at everything that it can think of."""
        self._wakes.set()
        self._thread.join(FROZEN_MAX_S)
        assert not self._thread.is_alive()

    def _live(self) -> None:
        self.work(lambda: self._wakes.is_set())
        for _ in range(TURNS_AFTERWARDS):
            self._controller.turn()

    def _fence(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._end()
        try:
            self.lease.check()
        except ControllerBusy:
            self.refused += 1
            raise
        self._scene.actors.append(self.name)

    def _end(self) -> None:
        if not self.freezes:
            raise Ended
        self.is_frozen.set()
        self._wakes.wait(FROZEN_MAX_S)


class Scene:
    """The cluster, the hosts and the clock."""

    def __init__(self, plane: ControlPlane, directory: Path, opened: ExitStack, *, store_clock: Clock | None = None) -> None:
        """The store's own clock is the system's, unless another one is given."""
        self.plane = plane
        self.opened = opened
        self.clock = ManualClock()
        self.fleet = SimulatedFleet(self.clock, seed=1)
        self.store = opened.enter_context(store_of(plane, clock=store_clock))
        self.actors: list[str] = []
        """Who changed something, change by change."""
        self._directory = directory

    def ports(self, store: object) -> Ports:
        """For one process."""
        return Ports(
            store=store,  # type: ignore[arg-type]
            connector=SimulatedConnector(self.fleet),
            guests=SimulatedGuests(self.fleet),
            images=SimulatedImages(self._directory, world=self.fleet.world),
            clock=self.clock,
            identifiers=SeededIdentifiers(2),
            tables=Tables.builtin(),
        )

    def let_pass(self, idle_s: float) -> None:
        """Nobody has anything to do by what was heard so far: hear on for a moment, then let time pass."""
        SystemClock().sleep(HEARING_S)
        self.clock.advance(min(PAUSE_MAX_S, idle_s))

    def pass_time(self, duration_s: float, leader: Leader) -> None:
        """While that leader works."""
        until_s = self.clock.monotonic_s() + duration_s
        leader.work(lambda: self.clock.monotonic_s() >= until_s)

    def add_hosts(self, *names: str) -> None:
        for name in names:
            self.fleet.add_host(name, gpus=(L40S,))
            self.store.create(GPUHost(metadata=Metadata(name=name), spec=GPUHostSpec(uri=f"simulated://{name}")))

    def apply(self, name: str, namespace: str) -> None:
        for resource in parse_documents(vm_yaml(name), source="test", tables=Tables.builtin()):
            self.store.create(resource.with_metadata(namespace=namespace))

    def machines(self) -> tuple[VirtualMachine, ...]:
        return self.store.list(VirtualMachine).items

    def are_ready(self) -> bool:
        found = [find_condition(vm.status.conditions, "Ready") for vm in self.machines()]
        return all(each is not None and each.status == "True" for each in found)

    def starts(self) -> dict[str, int]:
        """How often each domain was started, by host and name."""
        found: dict[str, int] = {}
        for host in self.fleet.hosts:
            with host.peek() as state:
                found |= {f"{host.name}/{name}": record.starts for name, record in state.domains.items()}
        return found

    def summary(self) -> str:
        return "\n".join(f"{vm.metadata.name} {vm.status.phase} {vm.status.conditions}" for vm in self.machines())
