"""What hosts tell by themselves becomes keys that are due: a VM whose domain stopped, a host whose devices changed.

    driver ──HostEvent──> listener of the host ──domain──> the VM of that domain         ┐
                                               ──devices─> a survey, at most one in 10 s ├──> WorkQueue
                                               ──lost────> the host, to connect anew;    │
                                                           its VMs, then and once heard  ┘

An event only makes a pass due; the pass looks for itself, so a lost, late or repeated event costs time and nothing else.
Listeners are called in threads of the drivers: they look into dictionaries and add to the queue, no more. One controller at a
time hears: the one that attached its queue last.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from functools import partial
from typing import Protocol

from provisioner.drivers.host_events import HostEvent, HostEventKind, Listener
from provisioner.lifecycle.queue import WorkQueue
from provisioner.model.clock import Clock
from provisioner.model.metadata import Key

SURVEY_PAUSE_S = 10.0
"""From the beginning of one survey to the next that an event asks for: GPUs come and go in bursts of functions."""
LOST_PAUSE_S = 1.0
"""The same after a connection was lost; for a host that accepts connections and drops them."""
NEVER = float("inf")


class Tells(Protocol):
    """A connection that tells what happens: to a hypervisor, or to a cluster."""

    def subscribe(self, listener: Listener) -> None:
        """Tell this listener."""
        ...


class HostWatch:
    """Subscribes to hosts, and remembers which of them an event asked to survey. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._queue: WorkQueue | None = None
        self._listeners: dict[Key, Listener] = {}
        self._deaf: set[Key] = set()
        """Hosts whose connection was lost since they were listened to."""
        self._machines: dict[str, Key] = {}
        self._hosts: dict[Key, Key] = {}
        self._machines_on: defaultdict[Key, dict[Key, None]] = defaultdict(dict)
        self._surveyed: dict[Key, float] = {}
        """When the last survey of the host began, by the monotonic clock."""
        self._asked: dict[Key, float] = {}
        """From when on an event wants the host to be surveyed."""

    def attach(self, queue: WorkQueue) -> None:
        """What is due goes into this queue from now on."""
        self._queue = queue

    def listen(self, host: Key, hypervisor: Tells) -> None:
        """Hear what that host tells on this connection; asked for again, nothing happens. Raises as any call to the host."""
        with self._lock:
            listener = self._listeners.setdefault(host, partial(self._hear, host))
            was_deaf = host in self._deaf
            self._deaf.discard(host)
        hypervisor.subscribe(listener)
        if was_deaf:
            self._wake_machines(host)  # nobody told what became of them meanwhile

    def listens_to(self, host: Key) -> bool:
        """Whether that host was ever listened to. Its connection may be lost by now; then its survey was asked for."""
        return host in self._listeners

    def hears(self, host: Key) -> bool:
        """Whether that host tells us what happens on it, as far as is known."""
        return host in self._listeners and host not in self._deaf

    def know_machine(self, domain: str, key: Key) -> None:
        """That domain, on whichever host, is this VM's."""
        self._machines[domain] = key

    def machine_is_on(self, key: Key, host: Key | None) -> None:
        """The VM is on that host now, or on none."""
        with self._lock:
            before = self._hosts.pop(key, None)
            if before is not None:
                self._machines_on[before].pop(key, None)
            if host is not None:
                self._hosts[key] = host
                self._machines_on[host][key] = None

    def forget_machine(self, domain: str) -> None:
        """The VM is gone."""
        key = self._machines.pop(domain, None)
        if key is not None:
            self.machine_is_on(key, None)

    def forget_name(self, name: str) -> None:
        """No VM is called so any more."""
        self._machines.pop(name, None)

    def forget_host(self, host: Key) -> None:
        """The host is not ours any more; a connection to it may still tell something, and wake nobody for long."""
        with self._lock:
            for known in (self._listeners, self._surveyed, self._asked):
                known.pop(host, None)
            self._deaf.discard(host)

    def ask_survey(self, host: Key, *, pause_s: float = SURVEY_PAUSE_S) -> None:
        """Have the host surveyed: now, or `pause_s` after the last survey began."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            due_s = max(now_s, self._surveyed.get(host, -NEVER) + pause_s)
            self._asked[host] = min(due_s, self._asked.get(host, NEVER))
        self._wake(host, after_s=due_s - now_s)

    def wake(self, key: Key) -> None:
        """Have that object looked at now."""
        self._wake(key, after_s=0.0)

    def survey_due_in_s(self, host: Key) -> float:
        """Seconds until the survey that was asked for; infinite if none was, zero or less if it is due."""
        return self._asked.get(host, NEVER) - self._clock.monotonic_s()

    def survey_begins(self, host: Key) -> None:
        """What was asked for so far is being done."""
        with self._lock:
            self._surveyed[host] = self._clock.monotonic_s()
            self._asked.pop(host, None)

    def _hear(self, host: Key, event: HostEvent) -> None:
        """The listener of that host."""
        if event.kind is HostEventKind.CONNECTION_LOST:
            with self._lock:
                self._deaf.add(host)
            self.ask_survey(host, pause_s=LOST_PAUSE_S)
            self._wake_machines(host)
        elif event.kind is HostEventKind.DEVICES_CHANGED:
            self.ask_survey(host)
        elif event.subject in self._machines:
            self._wake(self._machines[event.subject], after_s=0.0)

    def _wake_machines(self, host: Key) -> None:
        with self._lock:
            machines = tuple(self._machines_on.get(host, ()))
        for key in machines:
            self._wake(key, after_s=0.0)

    def _wake(self, key: Key, *, after_s: float) -> None:
        if self._queue is not None:
            self._queue.add(key, after_s=after_s)
