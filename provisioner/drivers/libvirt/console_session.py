"""A domain's serial console, attached to: a stream that libvirt carries both ways, over the network too.

Each session has a connection of its own. What a guest does not read piles up on the way to it, first in the pty, then in
libvirtd, and then libvirtd reads nothing more from that connection: on a shared one every other call would stand still.

A stream says little about its end, and what it says differs:

    the domain stopped         end of file
    taken over by force        an error of the stream, while the domain runs on
    QEMU died                  either, and libvirt may count the domain as running for a moment longer
    the connection broke       nothing at all: one must ask whether it lives

The stream's callback runs in libvirt's event loop and only wakes the reader; every call is made under the usual time limits.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

import libvirt

from provisioner.drivers.libvirt import domain_xml
from provisioner.drivers.libvirt.connection import CALL_TIMEOUT_S, Connection
from provisioner.drivers.libvirt.errors import is_not_found
from provisioner.model.errors import Conflict, HikubeError, HostTimeout, HostUnreachable, NotFound

_NEWS = libvirt.VIR_STREAM_EVENT_READABLE | libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP
_WOULD_BLOCK = -2
_MOST_BYTES = 64 * 1024
_PIECE_BYTES = 512
_BYTES_PER_S = 10_000
"""A little less than 115200 baud, so that what is written is on the line, not in queues that a detach would throw away."""
_LONGEST_PAUSE_S = 0.5
"""How soon a dead connection is noticed by who waits for bytes."""
_DETACH_S = 3.0
_STOPPING_S = 1.0
_POLL_S = 0.1


class LibvirtConsoleSession:
    """See drivers.hypervisor.ConsoleSession."""

    def __init__(self, connection: Connection, name: str, *, force: bool) -> None:
        self._connection = connection
        self._name = name
        self._arrived = threading.Event()
        self._pause = threading.Event()  # never set: a bounded wait
        flags = libvirt.VIR_DOMAIN_CONSOLE_FORCE if force else 0
        self._domain, self._stream = connection.run(lambda raw: self._open(raw, flags), what=self._cannot("attach to"))

    def read(self, *, timeout_s: float) -> bytes:
        """See the protocol."""
        what = self._cannot("read")
        deadline_s = time.monotonic() + timeout_s
        while True:
            self._arrived.clear()
            if piece := self._connection.run(lambda raw: self._receive(raw, what), what=what):
                return piece
            if not self._connection.is_alive:
                raise HostUnreachable(what, why="the connection is dead", context={"uri": self._connection.uri})
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return b""
            self._arrived.wait(min(left_s, _LONGEST_PAUSE_S))

    def write(self, data: bytes) -> None:
        """See the protocol."""
        what = self._cannot("write to")
        deadline_s = time.monotonic() + CALL_TIMEOUT_S
        while data:
            sent = self._send_some(data[:_PIECE_BYTES], what)
            data = data[sent:]
            if sent:
                deadline_s = time.monotonic() + CALL_TIMEOUT_S
            elif time.monotonic() > deadline_s:
                raise HostTimeout(what, why="the guest does not read", context={"uri": self._connection.uri})
            if data:
                self._pause.wait(sent / _BYTES_PER_S or _POLL_S)

    def close(self) -> None:
        """See the protocol."""
        try:
            self._connection.run(self._detach, what=self._cannot("detach from"), timeout_s=_DETACH_S)
        except HikubeError:
            pass  # the stream ended before, or the host is away: then it goes with the connection
        finally:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _cannot(self, verb: str) -> str:
        return f"cannot {verb} the console of {self._name}"

    def _open(self, raw: libvirt.virConnect, flags: int) -> tuple[libvirt.virDomain, libvirt.virStream]:
        what = self._cannot("attach to")
        domain = raw.lookupByName(self._name)
        if not domain.isActive():
            raise NotFound(what, why="the domain does not run")
        if not domain_xml.parse(domain.XMLDesc()).has_console:
            raise NotFound(what, why="the domain has no serial port")
        stream = raw.newStream(libvirt.VIR_STREAM_NONBLOCK)
        try:
            domain.openConsole(None, stream, flags)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:
                raise NotFound(what, why="the domain stopped meanwhile") from error
            raise
        stream.eventAddCallback(_NEWS, self._wake, None)
        return domain, stream

    def _wake(self, stream: libvirt.virStream, _events: int, _opaque: object) -> None:
        """Runs in the event loop. It would be called again and again until somebody reads, so it calls itself off."""
        stream.eventUpdateCallback(0)
        self._arrived.set()

    def _receive(self, raw: libvirt.virConnect, what: str) -> bytes:
        try:
            piece = self._stream.recv(_MOST_BYTES)
            if piece == _WOULD_BLOCK:
                self._stream.eventUpdateCallback(_NEWS)
                return b""
        except libvirt.libvirtError as error:
            raise self._end(raw, error, what) from error
        if not piece:
            raise NotFound(what, why="the domain has stopped")
        return bytes(piece)

    def _send_some(self, piece: bytes, what: str) -> int:
        def send(raw: libvirt.virConnect) -> int:
            try:
                return max(0, int(self._stream.send(piece)))  # -2: there is no room now
            except libvirt.libvirtError as error:
                raise self._end(raw, error, what) from error

        return self._connection.run(send, what=what)

    def _end(self, raw: libvirt.virConnect, error: libvirt.libvirtError, what: str) -> Exception:
        """Why the stream is of no more use."""
        if not raw.isAlive():
            return HostUnreachable(what, why=str(error), context={"uri": self._connection.uri})
        for _ in range(int(_STOPPING_S / _POLL_S)):
            try:
                if not self._domain.isActive():
                    return NotFound(what, why="the domain has stopped")
            except libvirt.libvirtError as gone:
                return NotFound(what, why="the domain is gone") if is_not_found(gone) else gone
            self._pause.wait(_POLL_S)
        return Conflict(what, why="somebody else has taken it over")

    def _detach(self, _raw: libvirt.virConnect) -> None:
        self._stream.eventRemoveCallback()
        self._stream.abort()
