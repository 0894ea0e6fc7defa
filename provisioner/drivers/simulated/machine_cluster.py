"""A simulated KubeVirt cluster: the way that every call takes, and what may befall it from outside.

A call is logged, may meet a staged fault (`machines.apply`, `machines.look`, `machines.survey`), takes its time by the clock,
and only then sees and changes the state, alone. The methods that are no calls (`lose_node`, `crash`, …) are the world's doing.
Whoever subscribed is told what a look shows otherwise than before, at the end of the call or act that noticed it; or that the
connection is lost, when a call got no answer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from provisioner.drivers.host_events import HostEvent
from provisioner.drivers.machine_cluster import Ended
from provisioner.drivers.simulated.faults import Call
from provisioner.drivers.simulated.machine_cluster_life import end, settle
from provisioner.drivers.simulated.machine_cluster_nodes import ClusterNodes
from provisioner.drivers.simulated.machine_cluster_state import ClusterState, GuestGpu, Key
from provisioner.drivers.simulated.machine_cluster_watchers import Watchers
from provisioner.drivers.simulated.state import GuestBehaviour
from provisioner.drivers.simulated.world import World
from provisioner.model.errors import HikubeError, HostTimeout, HostUnreachable, NotFound

LIMIT_S = 30.0
"""How long a call waits for a cluster that hangs."""


@dataclass(frozen=True, slots=True)
class RunningGuest:
    """A guest that runs, as whoever plays it needs it."""

    namespace: str
    name: str
    instance_uid: str
    user_data: str
    """Of this instance's seed."""
    started_s: float
    ssh_s: float | None
    """When its SSH answers; None: never."""
    cloud_init_s: float | None
    vcpus: int
    memory_mib: int
    gpus: tuple[GuestGpu, ...]
    behaviour: GuestBehaviour


class SimulatedCluster(ClusterNodes):
    """A handle on one cluster, for its drivers and for tests. Safe to use from several threads."""

    def __init__(self, name: str, *, uri: str, world: World) -> None:
        self.name = name
        self.uri = uri
        self.world = world
        self.watchers = Watchers()
        self._lock = threading.RLock()
        self._state = ClusterState()

    @contextmanager
    def call(self, name: str, *, subject: str = "", limit_s: float = LIMIT_S) -> Iterator[ClusterState]:
        """One call of a driver: the state, to be read and changed inside the block.

        Raises:
            HostUnreachable: the cluster's API is down. HostTimeout: it hangs.
        """
        record = self.world.calls.add(Call(self.name, name, subject, self.world.clock.monotonic_s()))
        try:
            with self._answered(record, limit_s=limit_s) as state:
                yield state
        except HikubeError as error:
            record.error = type(error).__name__
            if isinstance(error, HostUnreachable):
                self.watchers.lose(str(error))
            raise

    @contextmanager
    def peek(self) -> Iterator[ClusterState]:
        """The state as it is now, without a call: for tests, and for the world's doing."""
        news: tuple[HostEvent, ...] = ()
        try:
            with self._lock:
                settle(self._state, self.now_s, world=self.world)
                try:
                    yield self._state
                finally:
                    settle(self._state, self.now_s, world=self.world)
                    news = self.watchers.news(self._state, now_s=self.now_s)
        finally:
            self.watchers.tell(news)

    @property
    def now_s(self) -> float:
        """Its time, the world's."""
        return self.world.clock.now_s()

    def notice(self) -> None:
        """Let happen whatever was due, and tell it to whoever listens."""
        with self.peek():
            pass

    def running_at(self, address: str) -> RunningGuest | None:
        """The guest that has this address now; None if nobody has."""
        with self.peek() as state:
            for machine, instance in state.instances():
                node = state.nodes.get(instance.node)
                if instance.address == address and instance.running_s is not None and node is not None and node.answers:
                    return RunningGuest(
                        machine.namespace,
                        machine.name,
                        instance.uid,
                        user_data=instance.user_data,
                        started_s=instance.running_s,
                        ssh_s=instance.ssh_s,
                        cloud_init_s=instance.cloud_init_s,
                        vcpus=instance.spec.vcpus,
                        memory_mib=instance.spec.memory_mib,
                        gpus=instance.gpus,
                        behaviour=state.behaviour_of(machine.key),
                    )
        return None

    # What may befall it.

    def set_link(self, link: Literal["up", "down", "hangs"]) -> None:
        """`down`: nobody answers. `hangs`: calls take all of their time and then fail. Machines run on."""
        with self.peek() as state:
            state.link = link
        if link == "down":
            self.watchers.lose("connection refused")

    def crash(self, namespace: str, name: str) -> None:
        """QEMU of that running machine dies."""
        self._end(namespace, name, "crashed")

    def power_off(self, namespace: str, name: str) -> None:
        """The guest of that running machine powers itself off."""
        self._end(namespace, name, "off")

    def fail_starts(self, namespace: str, name: str, *, times: int = 1) -> None:
        """Its next starts end before the guest runs."""
        with self.peek() as state:
            state.failing_starts[namespace, name] = times

    def refuse_image(self, image: str, *, why: str = "manifest unknown") -> None:
        """No node can pull that image (`why` empty: they can again)."""
        with self.peek() as state:
            if why:
                state.refused_images[image] = f'failed to pull image "{image}": {why}'
            else:
                state.refused_images.pop(image, None)

    def behave(self, namespace: str, name: str, **changes: Any) -> None:
        """How the guest of that machine shall behave from now on (its next start, for times); it need not exist yet.

        Args:
            namespace: of the machine.
            name: of the machine.
            changes: fields of GuestBehaviour.
        """
        with self.peek() as state:
            key: Key = (namespace, name)
            state.behaviours[key] = replace(state.behaviour_of(key), **changes)

    def _end(self, namespace: str, name: str, ended: Ended) -> None:
        with self.peek() as state:
            record = state.machines.get((namespace, name))
            if record is None or record.instance is None or record.instance.ended or record.instance.running_s is None:
                raise NotFound(f"Machine {namespace}/{name} does not run on {self.name}")
            end(state, record, at_s=self.now_s, ended=ended)

    @contextmanager
    def _answered(self, record: Call, *, limit_s: float) -> Iterator[ClusterState]:
        fault = self.world.faults.take(host=self.name, call=record.name, subject=record.subject)
        if fault is not None:
            self._spend(fault.takes_s)
            if not fault.takes_effect:
                raise fault.error
        self._spend(min(self.world.timing.calls.get(record.name, 0.0), limit_s))
        with self.peek() as state:
            link = state.link
            if link == "up":
                yield state
        if link == "down":
            raise HostUnreachable(f"Cluster {self.name} cannot be reached", why="connection refused", context={"uri": self.uri})
        if link == "hangs":
            self._spend(limit_s)
            why = f"no answer within {limit_s:g} s"
            raise HostTimeout(f"Cluster {self.name} did not answer in time", why=why, context={"uri": self.uri})
        if fault is not None:
            raise fault.error
        record.went_well = True

    def _spend(self, duration_s: float) -> None:
        if duration_s > 0:
            self.world.clock.sleep(duration_s)
