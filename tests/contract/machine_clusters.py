"""What the contract of clusters runs against: one bench per implementation.

Here is the simulated twin's. tests/kubernetes has one for the real driver, on a real API server with KubeVirt played.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from provisioner.clocks import ManualClock
from provisioner.drivers.host_events import HostEvent
from provisioner.drivers.machine_cluster import (
    ContainerDisk,
    Machine,
    MachineCluster,
    MachineClusterConnector,
    MachineSpec,
    MachineState,
)
from provisioner.drivers.simulated.faults import CallLog, Faults
from provisioner.drivers.simulated.machine_cluster_driver import SimulatedClusterConnector, SimulatedClusters
from provisioner.drivers.simulated.timing import Chance, Timing
from provisioner.drivers.simulated.world import World

H100 = "nvidia.com/GH100_H100_NVL"
H200 = "nvidia.com/GH100_H200_SXM_141GB"
IMAGE = "registry.local/ubuntu:24.04"
OWNER = "11111111-2222-3333-4444-555555555555"


class MachineBench(ABC):
    """One cluster without nodes, where H100 NVL and H200 are permitted, and what may befall it."""

    uri: str
    namespace: str
    connector: MachineClusterConnector
    gaps: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.heard: list[HostEvent] = []
        self._heard_lock = threading.Lock()

    @property
    def cluster(self) -> MachineCluster:
        """The open connection."""
        return self.connector.connect(self.uri)

    def needs(self, *abilities: str) -> None:
        """Skip, by name, where this bench cannot do it."""
        missing = sorted(self.gaps.intersection(abilities))
        if missing:
            pytest.skip(f"{self.uri} cannot do {', '.join(missing)}")

    def spec(self, name: str, **changes: Any) -> MachineSpec:
        """A machine with one H100."""
        usual = MachineSpec(
            namespace=self.namespace,
            name=name,
            owner_uid=OWNER,
            is_to_run=True,
            vcpus=4,
            memory_mib=16_384,
            gpus=(H100,),
            disk=ContainerDisk(IMAGE),
            user_data="#cloud-config\n{}\n",
            shutdown_timeout_s=30,
        )
        return replace(usual, **changes)

    def apply(self, name: str, **changes: Any) -> MachineSpec:
        """Apply such a machine."""
        made = self.spec(name, **changes)
        self.cluster.apply(made)
        return made

    def look(self, name: str) -> Machine:
        """The machine, which is there."""
        found = self.cluster.look(self.namespace, name)
        assert found is not None, f"{name} is not there"
        return found

    def run(self, name: str, **changes: Any) -> Machine:
        """Apply such a machine, and wait until it runs."""
        self.apply(name, **changes)
        return self.until_state(name, MachineState.RUNNING)

    def until_state(self, name: str, state: MachineState) -> Machine:
        """Wait until it is so far."""
        self.until(lambda: self.look(name).state is state, what=lambda: str(self.look(name)))
        return self.look(name)

    def until_trouble(self, name: str, reason: str) -> Machine:
        """Wait until that is what ails it."""
        self.until(lambda: getattr(self.look(name).trouble, "reason", "") == reason, what=lambda: str(self.look(name)))
        return self.look(name)

    def until_gone(self, name: str) -> None:
        """Wait until nothing of it is left."""
        self.until(lambda: self.cluster.look(self.namespace, name) is None, what=lambda: str(self.look(name)))

    def listen(self, event: HostEvent) -> None:
        """A listener."""
        with self._heard_lock:
            self.heard.append(event)

    @abstractmethod
    def until(self, holds: Callable[[], bool], *, what: Callable[[], str] = lambda: "it") -> None:
        """Wait for a condition, bounded."""

    @abstractmethod
    def wait_a_moment(self) -> None:
        """Long enough for whatever is on its way to arrive."""

    @abstractmethod
    def add_node(self, name: str, *, gpus: dict[str, int], labels: dict[str, str] | None = None) -> None: ...

    @abstractmethod
    def permit(self, resource: str, vendor_device: str) -> None: ...

    @abstractmethod
    def crash(self, name: str) -> None: ...

    @abstractmethod
    def power_off(self, name: str) -> None: ...

    @abstractmethod
    def ignore_shutdown(self, name: str) -> None: ...

    @abstractmethod
    def fail_starts(self, name: str, *, times: int) -> None: ...

    @abstractmethod
    def refuse_image(self, name: str) -> None: ...

    @abstractmethod
    def allow_image(self, name: str) -> None: ...

    @abstractmethod
    def lose_node(self, name: str) -> None: ...

    @abstractmethod
    def ask_to_leave(self, name: str) -> None: ...

    @abstractmethod
    def make_stranger(self, name: str) -> None: ...

    @abstractmethod
    def offer_claims(self, node: str, template: str) -> str:
        """A claim template that yields one GPU of that node; the GPU's address."""


class SimulatedMachineBench(MachineBench):
    """The twin, in virtual time."""

    uri = "kubevirt://twin"
    namespace = "default"

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.world = World(clock=self.clock, chance=Chance(1), timing=Timing(), faults=Faults(), calls=CallLog())
        clusters = SimulatedClusters(self.world)
        self.simulated = clusters.add("twin")
        self.connector = SimulatedClusterConnector(clusters)
        self.permit(H100, "10DE:2321")
        self.permit(H200, "10DE:2335")

    def until(self, holds: Callable[[], bool], *, what: Callable[[], str] = lambda: "it") -> None:
        for _ in range(600):
            if holds():
                return
            self.clock.advance(0.25)
        raise AssertionError(f"not after 150 s: {what()}")

    def wait_a_moment(self) -> None:
        self.clock.advance(10.0)

    def add_node(self, name: str, *, gpus: dict[str, int], labels: dict[str, str] | None = None) -> None:
        self.simulated.add_node(name, gpus=gpus, labels=labels)

    def permit(self, resource: str, vendor_device: str) -> None:
        self.simulated.permit(resource, vendor_device)

    def crash(self, name: str) -> None:
        self.simulated.crash(self.namespace, name)

    def power_off(self, name: str) -> None:
        self.simulated.power_off(self.namespace, name)

    def ignore_shutdown(self, name: str) -> None:
        self.simulated.behave(self.namespace, name, heeds_shutdown=False)

    def fail_starts(self, name: str, *, times: int) -> None:
        self.simulated.fail_starts(self.namespace, name, times=times)

    def refuse_image(self, name: str) -> None:
        self.simulated.refuse_image(IMAGE)

    def allow_image(self, name: str) -> None:
        self.simulated.refuse_image(IMAGE, why="")

    def lose_node(self, name: str) -> None:
        self.simulated.lose_node(name)

    def ask_to_leave(self, name: str) -> None:
        self.simulated.drain(self.look(name).node)

    def make_stranger(self, name: str) -> None:
        self.simulated.add_stranger(self.namespace, name)

    def offer_claims(self, node: str, template: str) -> str:
        self.simulated.add_claim_template(self.namespace, template)
        with self.simulated.peek() as state:
            return state.nodes[node].gpus[0].address
