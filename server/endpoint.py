"""A small HTTP server for a few pages that are read by machines: GET only, one request a connection, everything bounded.

    accept ──(a slot is free?)──> a thread: read the request ──> page ──> answer ──> close
                 └──no──> 503, closed at once

Bounds: so many connections at once, so many bytes of a request, so many seconds from accept to close whatever the other side
does. Who may come is decided by where it listens; there is nothing here that changes anything. Needs the standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from provisioner.model.errors import Conflict, HikubeError, InvalidInput, NotAllowed
from server.address import Address

log = logging.getLogger("hikube.server")

CONNECTIONS_MAX = 16
"""At once. A Prometheus and a kubelet need three."""
REQUEST_MAX_BYTES = 16 * 1024
CONNECTION_LIMIT_S = 30.0
"""From accept to close."""
STOP_LIMIT_S = 5.0
"""For answers under way when it stops."""
POLL_S = 0.1
BUSY = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    status: int
    body: bytes
    content_type: str


Pages = Mapping[str, Callable[[], Page]]
"""By path; each is made when it is asked for, in a thread of its own."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one side that means no good may take."""

    connections: int = CONNECTIONS_MAX
    request_bytes: int = REQUEST_MAX_BYTES
    connection_s: float = CONNECTION_LIMIT_S
    stop_s: float = STOP_LIMIT_S


class Endpoint:
    """Serves pages at an address, between `start` and `stop`."""

    def __init__(self, address: Address, pages: Pages, *, limits: Limits | None = None) -> None:
        self._address = address
        self._pages = pages
        self._limits = limits or Limits()
        self._server: _Server | None = None

    def start(self) -> None:
        """Listen; from now on it answers.

        Raises:
            Conflict: the port is taken.
            InvalidInput: this machine has no such address.
            NotAllowed: the port is for root only.
        """
        self._server = _listening(self._address, self._pages, self._limits)
        run = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), name="hikube-http", daemon=True)
        run.start()

    def stop(self) -> None:
        """Take no more connections, and let answers under way end, for a while. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.wait_for_answers()

    @property
    def url(self) -> str:
        """Where it listens, with the port that it has got; as it is written where it does not."""
        port = self._server.server_address[1] if self._server is not None else self._address.port
        return f"http://{Address(self._address.host, int(port))}"


class _Server(ThreadingHTTPServer):
    """One thread for each connection, as many as there are slots."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = CONNECTIONS_MAX

    def __init__(self, family: int, where: Any, *, pages: Pages, limits: Limits) -> None:
        self.address_family = family
        self.pages = pages
        self.limits = limits
        self._slots = threading.BoundedSemaphore(limits.connections)
        super().__init__(where, _Handler)

    def server_bind(self) -> None:
        """As the library's, without asking for the machine's name, which may take long; `[::]` takes IPv4 as well."""
        if self.address_family == socket.AF_INET6:
            with contextlib.suppress(OSError):
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if self.allow_reuse_address:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for it, if there is a slot."""
        if self._slots.acquire(blocking=False):
            try:
                super().process_request(request, client_address)
            except RuntimeError:  # no thread can be started
                self._slots.release()
                raise
            return
        log.warning("%s is turned away: %d connections are open", client_address[0], self.limits.connections)
        with contextlib.suppress(OSError):
            request.setblocking(False)  # what is sent fits into the kernel's buffer, which is empty
            request.send(BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The life of a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A side that went away or babbled is nothing to tell; anything else is a mistake of ours, and of one answer only."""
        is_theirs = isinstance(sys.exception(), OSError | HTTPException)
        log.log(logging.DEBUG if is_theirs else logging.ERROR, "the answer to %s broke", client_address[0], exc_info=True)

    def wait_for_answers(self) -> None:
        """Until all slots are free again, or the time is up."""
        deadline_s = time.monotonic() + self.limits.stop_s
        for _ in range(self.limits.connections):
            if not self._slots.acquire(timeout=max(0.0, deadline_s - time.monotonic())):
                return


class _Handler(BaseHTTPRequestHandler):
    """One request. HTTP/1.0: the connection ends with the answer."""

    server: _Server
    default_request_version = "HTTP/1.0"
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = "text/plain; charset=utf-8"

    def setup(self) -> None:
        """Reading ends at the deadline, and after so many bytes."""
        self._deadline_s = time.monotonic() + self.server.limits.connection_s
        super().setup()
        bounded = _Bounded(self.connection, bytes_max=self.server.limits.request_bytes, deadline_s=self._deadline_s)
        self.rfile = io.BufferedReader(bounded)

    def do_GET(self) -> None:  # the library's way to name it
        """One of the pages."""
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            self._send(Page(404, f"404 there is {', '.join(self.server.pages)}\n".encode(), self.error_content_type))
            return
        try:
            answer = page()
        except HikubeError as error:
            log.warning("%s: %s", self.path, error)
            answer = Page(503, f"{error.what}\n".encode(), self.error_content_type)
        self.connection.settimeout(max(0.001, self._deadline_s - time.monotonic()))
        self._send(answer)

    def __getattr__(self, name: str) -> Any:
        """Every other method is known, and not allowed."""
        if name.startswith("do_"):
            return self._refuse
        raise AttributeError(name)

    def _refuse(self) -> None:
        self._send(Page(405, b"405 only GET\n", self.error_content_type), allow="GET")

    def _send(self, page: Page, *, allow: str = "") -> None:
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Cache-Control", "no-store")
        if allow:
            self.send_header("Allow", allow)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    def version_string(self) -> str:
        """Who answers; no versions of anything."""
        return "hikube"

    def log_message(self, format: str, *args: Any) -> None:  # the library's name
        """Only of interest when looking closely."""
        log.debug(format, *args)


class _Bounded(io.RawIOBase):
    """What comes from a connection, up to a deadline and a number of bytes."""

    def __init__(self, connection: socket.socket, *, bytes_max: int, deadline_s: float) -> None:
        self._connection = connection
        self._left = bytes_max
        self._deadline_s = deadline_s

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As much as is there; 0: nothing more will come.

        Raises:
            TimeoutError: the time is up; the library closes the connection.
            HTTPException: it is too long; the library answers 431, if it knows to whom.
        """
        if self._left <= 0:
            raise HTTPException("the request is too long")
        self._connection.settimeout(max(0.001, self._deadline_s - time.monotonic()))
        size = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= size
        return size


def _listening(address: Address, pages: Pages, limits: Limits) -> _Server:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, where = found[0]
        return _Server(family, where, pages=pages, limits=limits)
    except OSError as error:
        raise _refusal(address, error) from error


def _refusal(address: Address, error: OSError) -> HikubeError:
    why = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE:
        hint = "another program listens there, perhaps another controller: stop it, or listen elsewhere"
        return Conflict(f"{address} is taken", why=why, hint=hint, context={"listen": str(address)})
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotAllowed(f"this user may not listen at {address}", why=why, hint="ports from 1024 on are for everybody")
    return InvalidInput(
        f"nothing can listen at {address}", why=why, hint="an address of this machine, or 0.0.0.0 or [::] for all"
    )
