"""Connections to hypervisors: opened once per URI, shared, kept alive, and given up as soon as a call hangs.

    open ──ok──> alive ──call hangs──> retired      (its threads may be stuck for ever; nobody gets it again)
                   └──socket dies───> dead          (the next `connect` opens another)

A `Connection` never comes back to life: whoever holds a dead one gets HostUnreachable and connects again. All libvirt calls of
the package pass through `Connection.run`, which sets the time limit and translates errors.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import libvirt

from provisioner.drivers.host_events import HostEvent, HostEventKind, Listener
from provisioner.drivers.libvirt.calls import Calls, Progressing, TimeLimitError
from provisioner.drivers.libvirt.errors import translate
from provisioner.drivers.libvirt.events import EventFeed
from provisioner.model.errors import Conflict, HikubeError, HostTimeout, HostUnreachable

T = TypeVar("T")

CALL_TIMEOUT_S = 30.0
"""For calls that only look or only ask; what works on disks or devices says its own limit."""
_KEEPALIVE_INTERVAL_S = 5
_KEEPALIVE_COUNT = 3


class Connection:
    """One connection to one host. Safe to use from several threads."""

    def __init__(self, uri: str, raw: libvirt.virConnect) -> None:
        self.uri = uri
        self._raw = raw
        self._calls = Calls(name="libvirt-call")
        self._lock = threading.Lock()
        self._under_way: set[str] = set()
        self._end = ""
        """Why it is of no more use; empty while it lives."""
        self._feed = EventFeed(lost=self._give_up)
        self._keep_alive()

    @property
    def is_alive(self) -> bool:
        """Whether new calls make sense. Asks nobody: the event loop notices a dead socket or a host that is silent."""
        return not self._end and bool(self._raw.isAlive())

    @property
    def hanging_calls(self) -> int:
        """Calls that were given up and have not come back."""
        return self._calls.hanging

    def run(
        self,
        operation: Callable[[libvirt.virConnect], T],
        *,
        what: str,
        timeout_s: float = CALL_TIMEOUT_S,
        progressing: Progressing | None = None,
    ) -> T:
        """What `operation` returns, given libvirt's connection. It may make several libvirt calls; the limit is for all.

        Args:
            operation: the calls.
            what: the sentence of what could not be done, if it fails.
            timeout_s: how long to wait; with `progressing`, between two signs of life.
            progressing: gets a `beat()` whenever a long operation gets on.

        Raises:
            HostTimeout: it did not return in time and may still take effect; this connection is of no more use.
            HostUnreachable: the connection is dead.
            HikubeError: libvirt's error, translated; or what `operation` raised of ours.
        """
        if self._end:
            raise HostUnreachable(what, why=self._end, context={"uri": self.uri})
        try:
            return self._calls.run(lambda: operation(self._raw), timeout_s=timeout_s, progressing=progressing)
        except TimeLimitError as error:
            self._give_up(f"an earlier call hangs: {what}")
            why = f"the host did not answer within {timeout_s:g} s"
            raise HostTimeout(what, why=why, context={"uri": self.uri}) from error
        except libvirt.libvirtError as error:
            raise self._translated(error, what) from error

    @contextlib.contextmanager
    def only_one(self, work: str, *, what: str) -> Iterator[None]:
        """Keep a second piece of the same work from starting on this connection.

        Raises:
            Conflict: one is under way.
        """
        with self._lock:
            if work in self._under_way:
                raise Conflict(what, why="the same is under way already")
            self._under_way.add(work)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.discard(work)

    def subscribe(self, listener: Listener) -> None:
        """Tell the listener what the host tells, until this connection ends. Raises as `run`."""
        if self._feed.add(listener) or self._end:
            self.run(self._feed.register, what="cannot watch the host")

    def close(self) -> None:
        """Give it up. Calls that run go on to their end. Idempotent."""
        # Whoever closes it because it has died may be earlier than the event loop: for listeners it was lost.
        self._give_up("the connection was closed", is_wanted=self.is_alive)

    def _translated(self, error: libvirt.libvirtError, what: str) -> HikubeError:
        ours = translate(error, what=what)
        if isinstance(ours, HostUnreachable) and not isinstance(ours, HostTimeout):
            self._give_up(ours.why)
        ours.context["uri"] = self.uri
        return ours

    def _give_up(self, why: str, *, is_wanted: bool = False) -> None:
        with self._lock:
            if self._end:
                return
            self._end = why
        self._feed.end(None if is_wanted else HostEvent(HostEventKind.CONNECTION_LOST, why))
        self._calls.stop()
        # Closing talks to the host and may hang with it, so it gets a thread of its own.
        threading.Thread(target=_close_quietly, args=(self._raw, self._feed), name="libvirt-close", daemon=True).start()

    def _keep_alive(self) -> None:
        try:
            self._raw.setKeepAlive(_KEEPALIVE_INTERVAL_S, _KEEPALIVE_COUNT)
        except libvirt.libvirtError:
            return  # the test driver lives in this process and has nothing to keep alive


def _close_quietly(raw: libvirt.virConnect, feed: EventFeed) -> None:
    feed.unregister(raw)
    try:
        raw.close()
    except libvirt.libvirtError:
        return  # it is dead already, which is what was wanted
