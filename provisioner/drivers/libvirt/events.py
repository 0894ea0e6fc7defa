"""Events of one connection: from libvirt's callbacks to the listeners that subscribed on it.

    subscribe ──> callbacks registered (once) ──> event loop calls ──> HostEvent ──> every listener
                                                       └─ socket dies ──> the connection is given up ──> connection-lost, once

Callbacks run in the event-loop thread, so they call nothing that asks a host. Each registered callback holds the connection
open inside libvirt: `unregister` comes before closing it. What a driver of libvirt's cannot watch is left unwatched.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from operator import methodcaller

import libvirt

from provisioner.drivers.host_events import HostEvent, HostEventKind, Listener
from provisioner.drivers.libvirt.nodedev import address_of_node

_DOMAIN_KINDS = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: HostEventKind.DOMAIN_STARTED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED: HostEventKind.DOMAIN_STOPPED,
    # A guest that panicked; whether QEMU stays is the domain's on_crash.
    libvirt.VIR_DOMAIN_EVENT_CRASHED: HostEventKind.DOMAIN_STOPPED,
}
_CLOSE_REASONS = {
    libvirt.VIR_CONNECT_CLOSE_REASON_ERROR: "the connection broke",
    libvirt.VIR_CONNECT_CLOSE_REASON_EOF: "the host closed the connection",
    libvirt.VIR_CONNECT_CLOSE_REASON_KEEPALIVE: "the host gave no sign of life",
    libvirt.VIR_CONNECT_CLOSE_REASON_CLIENT: "the connection was closed",
}


class EventFeed:
    """Listeners of one connection. Safe to use from several threads."""

    def __init__(self, *, lost: Callable[[str], None]) -> None:
        """`lost` is called with the reason when libvirt says that the connection has died."""
        self._lost = lost
        self._lock = threading.Lock()
        self._listeners: dict[Listener, None] = {}
        self._removals: list[Callable[[libvirt.virConnect], object]] = []
        self._is_registered = False
        self._has_ended = False

    def add(self, listener: Listener) -> bool:
        """Tell this listener as well; once, however often it is added. Says whether callbacks are to be registered yet."""
        with self._lock:
            if not self._has_ended:
                self._listeners[listener] = None
            return not self._is_registered

    def register(self, raw: libvirt.virConnect) -> None:
        """Ask libvirt for the events; a second time is nothing.

        Raises:
            libvirt.libvirtError: the host could not be asked.
        """
        with self._lock:
            if self._is_registered:
                return
            self._is_registered = True
        try:
            self._ask(raw)
        except libvirt.libvirtError:
            self._is_registered = False
            self.unregister(raw)
            raise
        if self._has_ended:
            self.unregister(raw)  # it was given up meanwhile

    def unregister(self, raw: libvirt.virConnect) -> None:
        """Let go of the connection. May talk to the host, and hang with it."""
        removals, self._removals = self._removals, []
        for remove in removals:
            with contextlib.suppress(libvirt.libvirtError):  # a dead connection forgets its callbacks all the same
                remove(raw)

    def end(self, last: HostEvent | None) -> None:
        """Tell nobody anything any more, after this."""
        with self._lock:
            self._has_ended = True
            listeners, self._listeners = tuple(self._listeners), {}
        if last is not None:
            for listener in listeners:
                listener(last)

    def _ask(self, raw: libvirt.virConnect) -> None:
        lifecycle, node_lifecycle = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, libvirt.VIR_NODE_DEVICE_EVENT_ID_LIFECYCLE
        node_update = libvirt.VIR_NODE_DEVICE_EVENT_ID_UPDATE
        with _where_supported():
            number = raw.domainEventRegisterAny(None, lifecycle, self._domain, None)
            self._removals.append(methodcaller("domainEventDeregisterAny", number))
        for event, callback in ((node_lifecycle, self._node_came_or_went), (node_update, self._node_changed)):
            with _where_supported():
                number = raw.nodeDeviceEventRegisterAny(None, event, callback, None)
                self._removals.append(methodcaller("nodeDeviceEventDeregisterAny", number))
        with _where_supported():
            raw.registerCloseCallback(self._closed, None)
            self._removals.append(methodcaller("unregisterCloseCallback"))

    def _tell(self, kind: HostEventKind, subject: str) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(HostEvent(kind, subject))

    # Called by libvirt.

    def _domain(self, _conn: libvirt.virConnect, domain: libvirt.virDomain, event: int, _detail: int, _opaque: None) -> None:
        if event in _DOMAIN_KINDS:
            self._tell(_DOMAIN_KINDS[event], domain.name())

    def _node_came_or_went(
        self, conn: libvirt.virConnect, device: libvirt.virNodeDevice, _event: int, _detail: int, opaque: None
    ) -> None:
        self._node_changed(conn, device, opaque)

    def _node_changed(self, _conn: libvirt.virConnect, device: libvirt.virNodeDevice, _opaque: None) -> None:
        address = address_of_node(device.name())
        if address:
            self._tell(HostEventKind.DEVICES_CHANGED, address)

    def _closed(self, _conn: libvirt.virConnect, reason: int, _opaque: None) -> None:
        self._lost(_CLOSE_REASONS.get(reason, "the connection was lost"))


@contextlib.contextmanager
def _where_supported() -> Iterator[None]:
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
