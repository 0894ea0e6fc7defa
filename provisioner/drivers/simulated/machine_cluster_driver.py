"""Connections to simulated clusters: the twin of drivers.kubevirt."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager

from provisioner.drivers.host_events import Listener
from provisioner.drivers.machine_cluster import ClusterSurvey, ImportedDisk, Machine, MachineSpec
from provisioner.drivers.simulated.machine_cluster import SimulatedCluster
from provisioner.drivers.simulated.machine_cluster_life import end, tell
from provisioner.drivers.simulated.machine_cluster_state import ClusterState, MachineRecord
from provisioner.drivers.simulated.machine_cluster_view import machine_of, node_of
from provisioner.drivers.simulated.world import World
from provisioner.model.errors import AlreadyExists, Conflict, HostUnreachable, InvalidInput, NotFound

SCHEME = "kubevirt:"


class SimulatedClusters:
    """The clusters that there are, by URI."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._clusters: dict[str, SimulatedCluster] = {}

    def add(self, name: str, *, uri: str = "") -> SimulatedCluster:
        """A new cluster without nodes, at `kubevirt://<name>` unless a URI is given.

        Raises:
            AlreadyExists: the URI is taken.
        """
        uri = uri or f"{SCHEME}//{name}"
        if uri in self._clusters:
            raise AlreadyExists(f"There is a cluster at {uri} already")
        made = self._clusters[uri] = SimulatedCluster(name, uri=uri, world=self._world)
        return made

    def at(self, uri: str) -> SimulatedCluster:
        """The cluster behind that URI.

        Raises:
            InvalidInput: it is no URI of a cluster. HostUnreachable: there is none.
        """
        if not uri.startswith(SCHEME):
            raise InvalidInput(f"cannot understand the URI {uri!r}", hint="write kubevirt://NAME")
        if uri not in self._clusters:
            raise HostUnreachable(f"Cluster {uri} cannot be reached", why="there is no simulated cluster of that name")
        return self._clusters[uri]


class SimulatedClusterConnector:
    """See drivers.machine_cluster.MachineClusterConnector."""

    def __init__(self, clusters: SimulatedClusters) -> None:
        self._clusters = clusters
        self._lock = threading.Lock()
        self._open: dict[str, SimulatedMachineCluster] = {}

    def connect(self, uri: str) -> SimulatedMachineCluster:
        """See the protocol."""
        cluster = self._clusters.at(uri)
        with cluster.call("connect"), self._lock:
            known = self._open.get(uri)
            if known is None or not known.is_alive:
                known = self._open[uri] = SimulatedMachineCluster(cluster)
            return known

    def hang_up(self) -> None:
        """Close every connection, as the end of a process does: no call is made."""
        with self._lock:
            opened, self._open = self._open, {}
        for each in opened.values():
            each.hang_up()


class SimulatedMachineCluster:
    """See drivers.machine_cluster.MachineCluster."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self._cluster = cluster
        self._is_closed = False
        self._losses = cluster.watchers.losses

    @property
    def is_alive(self) -> bool:
        """Whether the connection was neither ended nor lost."""
        return not self._is_closed and self._cluster.watchers.losses == self._losses

    def survey(self) -> ClusterSurvey:
        """See the protocol."""
        with self._call("survey") as state:
            now_s = self._cluster.now_s
            nodes = [node for _, node in sorted(state.nodes.items()) if node.gone_since_s is None]
            return ClusterSurvey(
                version=state.version,
                nodes=tuple(node_of(state, node, now_s=now_s) for node in nodes),
                permitted_devices=tuple(sorted(state.permitted.items())),
                storage_classes=state.storage_classes,
                can_import_disks=state.can_import_disks,
                can_claim_devices=bool(state.claim_templates),
            )

    def apply(self, spec: MachineSpec) -> None:
        """See the protocol."""
        with self._call("apply", f"{spec.namespace}/{spec.name}") as state:
            _check(state, spec)
            now_s = self._cluster.now_s
            record = state.machines.setdefault(
                (spec.namespace, spec.name), MachineRecord(spec.namespace, spec.name, spec, changed_s=now_s)
            )
            if record.spec.is_to_run and not spec.is_to_run:
                record.failures, record.retry_s = 0, None
            if record.spec != spec:
                record.spec, record.changed_s = spec, now_s

    def look(self, namespace: str, name: str) -> Machine | None:
        """See the protocol."""
        with self._call("look", f"{namespace}/{name}") as state:
            record = state.machines.get((namespace, name))
            return None if record is None else machine_of(state, record, now_s=self._cluster.now_s)

    def restart(self, namespace: str, name: str, *, instance_uid: str) -> None:
        """See the protocol."""
        with self._call("restart", f"{namespace}/{name}") as state:
            record = _with_instance(state, namespace, name, instance_uid)
            if record is not None:
                tell(state, record, at_s=self._cluster.now_s, world=self._cluster.world)

    def destroy(self, namespace: str, name: str, *, instance_uid: str) -> None:
        """See the protocol."""
        with self._call("destroy", f"{namespace}/{name}") as state:
            record = _with_instance(state, namespace, name, instance_uid)
            if record is not None:
                now_s = self._cluster.now_s
                tell(state, record, at_s=now_s, world=self._cluster.world)
                end(state, record, at_s=now_s, ended="crashed", why="")

    def remove(self, namespace: str, name: str) -> None:
        """See the protocol."""
        with self._call("remove", f"{namespace}/{name}") as state:
            record = state.machines.get((namespace, name))
            if record is not None and not record.is_going:
                record.is_going, record.changed_s = True, self._cluster.now_s

    def owned(self) -> Sequence[Machine]:
        """See the protocol."""
        with self._call("owned") as state:
            now_s = self._cluster.now_s
            return tuple(machine_of(state, record, now_s=now_s) for _, record in sorted(state.machines.items()))

    def subscribe(self, listener: Listener) -> None:
        """See the protocol."""
        with self._call("subscribe") as state:
            self._cluster.watchers.add(self, listener, state=state, now_s=self._cluster.now_s)

    def close(self) -> None:
        """See the protocol. The connection itself stays open: others share it, and later callers will."""

    def hang_up(self) -> None:
        """End the connection for everybody who shares it; nobody is told."""
        self._is_closed = True
        self._cluster.watchers.drop(self)

    def _call(self, name: str, subject: str = "") -> AbstractContextManager[ClusterState]:
        if not self.is_alive:
            how = "closed" if self._is_closed else "lost"
            raise HostUnreachable(
                f"The connection to cluster {self._cluster.name} is {how}", context={"uri": self._cluster.uri}
            )
        return self._cluster.call(f"machines.{name}", subject=subject)


def _check(state: ClusterState, spec: MachineSpec) -> None:
    key = (spec.namespace, spec.name)
    if spec.namespace not in state.namespaces:
        raise NotFound(f'namespaces "{spec.namespace}" not found')
    known = state.machines.get(key)
    if key in state.strangers or (known is not None and known.spec.owner_uid != spec.owner_uid):
        raise Conflict(f"the machine {spec.namespace}/{spec.name} belongs to somebody else")
    if known is not None and known.is_going:
        raise Conflict(f"the machine {spec.namespace}/{spec.name} is still going")
    if isinstance(spec.disk, ImportedDisk) and not spec.disk.url.startswith(("https://", "http://", "docker://")):
        raise InvalidInput(f"the disk of {spec.namespace}/{spec.name} cannot be imported from {spec.disk.url!r}")
    if spec.claim_template and spec.is_to_run:
        _check_claims(state, spec)


def _check_claims(state: ClusterState, spec: MachineSpec) -> None:
    requests = state.claim_templates.get((spec.namespace, spec.claim_template))
    if requests is None:
        raise InvalidInput(f"there is no ResourceClaimTemplate {spec.namespace}/{spec.claim_template}")
    if requests != len(spec.gpus):
        why = f"it has {requests} requests, and the machine wants {len(spec.gpus)} GPUs: one request for each"
        raise InvalidInput(f"the ResourceClaimTemplate {spec.namespace}/{spec.claim_template} does not fit", why=why)


def _with_instance(state: ClusterState, namespace: str, name: str, uid: str) -> MachineRecord | None:
    record = state.machines.get((namespace, name))
    return record if record is not None and record.instance is not None and record.instance.uid == uid else None
