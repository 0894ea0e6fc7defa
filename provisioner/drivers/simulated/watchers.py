"""Who is told what happens on a simulated host, and what there is to tell: the difference between two looks.

The host settles when somebody looks at it, so an event is told then: at the end of the call, or of the act of the world, that
noticed it. Events of one look come in the order stopped, started, devices, each by name; listeners in the order in which they
subscribed. Belongs to the process: a host in a file is looked at by each process for itself.

As on a real host, a change of driver tells nothing, and a connection that is lost takes its listeners with it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from provisioner.drivers.host_events import HostEvent, HostEventKind, Listener
from provisioner.drivers.simulated.state import HostState


@dataclass(frozen=True, slots=True)
class _Sight:
    """What of a host events are about."""

    running: dict[str, int]
    """Which start of it, by the domain's name."""
    functions: frozenset[str]

    @classmethod
    def of(cls, state: HostState) -> _Sight:
        running = {name: record.starts for name, record in state.domains.items() if record.is_running}
        return cls(running, frozenset(function.address for function in state.functions.values() if function.is_present))

    def since(self, before: _Sight) -> Iterator[HostEvent]:
        for name in sorted(before.running):
            if self.running.get(name) != before.running[name]:
                yield HostEvent(HostEventKind.DOMAIN_STOPPED, name)
        for name in sorted(self.running):
            if self.running[name] != before.running.get(name):
                yield HostEvent(HostEventKind.DOMAIN_STARTED, name)
        for address in sorted(self.functions ^ before.functions):
            yield HostEvent(HostEventKind.DEVICES_CHANGED, address)


class Watchers:
    """Listeners of one host, each by the connection through which it subscribed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[tuple[object, Listener], None] = {}
        self._seen: _Sight | None = None
        self.losses = 0
        """How often every connection to the host was lost; one that was opened before the last time is dead."""

    @property
    def are_there(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def has(self, connection: object, listener: Listener) -> bool:
        """Whether it is subscribed."""
        return (connection, listener) in self._listeners

    def add(self, connection: object, listener: Listener, *, state: HostState) -> None:
        """Tell it what happens after this state."""
        with self._lock:
            if not self._listeners:
                self._seen = _Sight.of(state)
            self._listeners[connection, listener] = None

    def drop(self, connection: object) -> None:
        """The connection was closed."""
        with self._lock:
            self._listeners = {known: None for known in self._listeners if known[0] is not connection}

    def news(self, state: HostState) -> tuple[HostEvent, ...]:
        """What happened since the last look; called while the state is open, so that looks come one after the other."""
        with self._lock:
            if not self._listeners or self._seen is None:
                return ()
            before, self._seen = self._seen, _Sight.of(state)
            return tuple(self._seen.since(before))

    def tell(self, events: tuple[HostEvent, ...]) -> None:
        """Tell everybody; called when the state is closed again."""
        for event in events:
            for _, listener in tuple(self._listeners):
                listener(event)

    def lose(self, why: str) -> None:
        """Every connection to the host is lost."""
        with self._lock:
            listeners, self._listeners = tuple(self._listeners), {}
            self.losses += 1
        for _, listener in listeners:
            listener(HostEvent(HostEventKind.CONNECTION_LOST, why))
