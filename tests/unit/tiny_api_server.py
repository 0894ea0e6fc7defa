"""An API server with next to nothing in it: lists, watches that a test feeds, whatever answers it wants. Real sockets."""

from __future__ import annotations

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Document = dict[str, Any]
Answer = tuple[int, bytes]
END: None = None
"""In the queue of a watch: the server ends it."""


class TinyApiServer:
    """Listens on a port of its own until it is closed."""

    def __init__(self) -> None:
        self.lists: dict[str, list[Document]] = {}
        self.answers: dict[tuple[str, str], list[Answer]] = {}
        """By method and path; each is given once, the last one for ever."""
        self.asked: list[tuple[str, str, dict[str, str], dict[str, str], bytes]] = []
        """Method, path, query, headers, body of every request that was no watch."""
        self.watched: queue.Queue[tuple[str, queue.Queue[Document | None]]] = queue.Queue()
        """Every watch that began, with the queue that feeds it."""
        self.version = 1
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._open: list[queue.Queue[Document | None]] = []
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def kubeconfig(self, folder: Path) -> Path:
        """A file that leads here, with one context `tests`."""
        content = {
            "current-context": "tests",
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "clusters": [{"name": "tests", "cluster": {"server": self.url}}],
            "users": [{"name": "tests", "user": {}}],
        }
        path = folder / "kubeconfig"
        path.write_text(json.dumps(content))
        return path

    def close(self) -> None:
        """Nobody listens any more, and what was watched ends."""
        self._server.shutdown()
        self._server.server_close()
        for feed in self._open:
            feed.put(END)

    def answer(self, method: str, path: str, query: dict[str, str]) -> Answer:
        told = self.answers.get((method, path))
        if told:
            return told.pop(0) if len(told) > 1 else told[0]
        if method == "GET" and path in self.lists:
            return 200, json.dumps({"metadata": {"resourceVersion": str(self.version)}, "items": self.lists[path]}).encode()
        return 404, json.dumps({"kind": "Status", "reason": "NotFound", "message": f"{path} not found"}).encode()

    def begin_watch(self, path: str) -> queue.Queue[Document | None]:
        feed: queue.Queue[Document | None] = queue.Queue()
        self._open.append(feed)
        self.watched.put((path, feed))
        return feed


def _handler(server: TinyApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer_it(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if "watch" in query:
                self._stream(server.begin_watch(parts.path))
                return
            server.asked.append((self.command, parts.path, query, dict(self.headers), body))
            status, answer = server.answer(self.command, parts.path, query)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_GET(self) -> None:
            self.answer_it()

        def do_POST(self) -> None:
            self.answer_it()

        def do_PATCH(self) -> None:
            self.answer_it()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _stream(self, feed: queue.Queue[Document | None]) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while (event := feed.get()) is not END:
                line = json.dumps(event).encode() + b"\n"
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

    return Handler
