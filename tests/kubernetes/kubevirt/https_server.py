"""virt-api's front door: HTTPS on the loopback interface, for the API server's reviews and its aggregated requests.

One thread for each connection; `stop` cuts the connections that the API server keeps, so that no thread and no socket is left.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.kubernetes.kubevirt.fields import Document

ADDRESS = "127.0.0.1"
BODY_MAX = 16 << 20
KEPT_S = 300


@dataclass(frozen=True, slots=True)
class Response:
    """What is sent back; a body of None is empty."""

    code: int = 200
    body: bytes = b""
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """What came in."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Answer = Callable[[Request], Response]


def json_response(document: Document, code: int = 200) -> Response:
    return Response(code, json.dumps(document).encode())


class Server(ThreadingHTTPServer):
    """Every request goes to one function."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, answer: Answer, *, context: ssl.SSLContext) -> None:
        super().__init__((ADDRESS, 0), Handler)
        self.answer = answer
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self._held: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, name="kubevirt-virt-api", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        with self._lock:
            for held in self._held:
                with contextlib.suppress(OSError):
                    held.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._held.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._held.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that goes is no error of ours; anything else is told as the interpreter tells it."""
        raise


class Handler(BaseHTTPRequestHandler):
    """Keeps connections, as the API server wants them."""

    protocol_version = "HTTP/1.1"
    timeout = KEPT_S
    server: Server

    def handle(self) -> None:
        """A connection that was cut, or never spoke TLS, just ends."""
        with contextlib.suppress(OSError):
            super().handle()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: a test's output is the test's."""

    def _answer(self) -> None:
        size = min(int(self.headers.get("Content-Length") or 0), BODY_MAX)
        headers = {name.lower(): value for name, value in self.headers.items()}
        response = self.server.answer(Request(self.command, self.path, headers, self.rfile.read(size)))
        self.send_response(response.code)
        if response.body:
            self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)
