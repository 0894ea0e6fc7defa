"""A web server for images on a free loopback port, that misbehaves as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class ImageServer:
    """Serves `content` at every path. Counts requests by the Range that they asked for."""

    content: bytes = b""
    etag: str = '"v1"'
    last_modified: str = ""
    honours_range: bool = True
    ignores_if_range: bool = False
    cuts: list[int] = field(default_factory=list)
    """For each coming answer: close the connection after that many bytes of its body."""
    statuses: list[int] = field(default_factory=list)
    """For each coming answer: this status instead."""
    redirect_to: str = ""
    content_encoding: str = ""
    tells_length: bool = True
    before_body: Callable[[], None] = lambda: None
    ranges: list[str] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        server = self
        self._http = _Quiet(("127.0.0.1", 0), type("Handler", (_Handler,), {"image": server}))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/image.qcow2"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that went away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    image: ImageServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        image = self.image
        image.ranges.append(self.headers.get("Range", ""))
        if image.redirect_to:
            return self._bare(302, Location=image.redirect_to)
        if image.statuses:
            return self._bare(image.statuses.pop(0))
        start = self._start()
        if start > len(image.content):
            return self._bare(416, **{"Content-Range": f"bytes */{len(image.content)}"})
        if start == len(image.content) and start:
            return self._bare(416, **{"Content-Range": f"bytes */{start}"})
        self._answer(start)
        return None

    def _start(self) -> int:
        asked = self.headers.get("Range", "")
        validators = {self.image.etag, self.image.last_modified} - {""}
        is_current = self.image.ignores_if_range or self.headers.get("If-Range") in validators
        return int(asked.removeprefix("bytes=").split("-")[0]) if asked and is_current and self.image.honours_range else 0

    def _answer(self, start: int) -> None:
        image = self.image
        body = image.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(image.content) - 1}/{len(image.content)}")
        if image.tells_length:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
        for name, value in (
            ("ETag", image.etag),
            ("Last-Modified", image.last_modified),
            ("Content-Encoding", image.content_encoding),
        ):
            if value:
                self.send_header(name, value)
        self.end_headers()
        image.before_body()
        if image.cuts:
            body = body[: image.cuts.pop(0)]
            self.close_connection = True
        if not image.tells_length:
            self.close_connection = True
        self.wfile.write(body)

    def _bare(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""
