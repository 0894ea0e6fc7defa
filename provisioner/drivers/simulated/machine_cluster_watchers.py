"""Who is told what happens in a simulated cluster: the difference between two looks.

Events of one look come machines first, then nodes, each by name; listeners in the order in which they subscribed. A connection
that is lost takes its listeners with it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from provisioner.drivers.host_events import HostEvent, HostEventKind, Listener
from provisioner.drivers.machine_cluster import MachineState
from provisioner.drivers.simulated.machine_cluster_state import ClusterState
from provisioner.drivers.simulated.machine_cluster_view import machine_of, node_of

_Sight = dict[tuple[str, str], tuple[object, ...]]
"""What a look shows of each, by kind and name; the first says whether a machine runs."""


class Watchers:
    """Listeners of one cluster, each by the connection through which it subscribed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[tuple[object, Listener], None] = {}
        self._seen: _Sight = {}
        self.losses = 0
        """How often every connection was lost; one that was opened before the last time is dead."""

    def add(self, connection: object, listener: Listener, *, state: ClusterState, now_s: float) -> None:
        """Tell it what happens after this state."""
        with self._lock:
            if not self._listeners:
                self._seen = _sight(state, now_s)
            self._listeners[connection, listener] = None

    def drop(self, connection: object) -> None:
        """The connection was closed."""
        with self._lock:
            self._listeners = {known: None for known in self._listeners if known[0] is not connection}

    def news(self, state: ClusterState, *, now_s: float) -> tuple[HostEvent, ...]:
        """What happened since the last look."""
        with self._lock:
            if not self._listeners:
                return ()
            before, self._seen = self._seen, _sight(state, now_s)
            return tuple(_events(before, self._seen))

    def tell(self, events: tuple[HostEvent, ...]) -> None:
        """Tell everybody; called when the state is closed again."""
        for event in events:
            for _, listener in tuple(self._listeners):
                listener(event)

    def lose(self, why: str) -> None:
        """Every connection is lost."""
        with self._lock:
            listeners, self._listeners = tuple(self._listeners), {}
            self.losses += 1
        for _, listener in listeners:
            listener(HostEvent(HostEventKind.CONNECTION_LOST, why))


def _sight(state: ClusterState, now_s: float) -> _Sight:
    found: _Sight = {}
    for record in state.machines.values():
        machine = machine_of(state, record, now_s=now_s)
        key = ("machine", f"{record.namespace}/{record.name}")
        found[key] = (machine.state is MachineState.RUNNING, machine)
    for node in state.nodes.values():
        if node.gone_since_s is None:
            shown = node_of(state, node, now_s=now_s)
            found["node", node.name] = (shown.is_schedulable, shown.devices)
    return found


def _events(before: _Sight, after: _Sight) -> Iterator[HostEvent]:
    for kind, name in sorted(before.keys() | after.keys()):
        now = after.get((kind, name))
        if now == before.get((kind, name)):
            continue
        if kind == "node":
            yield HostEvent(HostEventKind.DEVICES_CHANGED, name)
        else:
            yield HostEvent(HostEventKind.DOMAIN_STARTED if now and now[0] else HostEventKind.DOMAIN_STOPPED, name)
