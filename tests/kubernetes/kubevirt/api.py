"""The API server as KubeVirt's own account sees it: raw JSON over connections that are kept, one for each thread.

A refusal is an error with the server's words; a server that cannot be reached is another one. Whoever asks again is the loop
that was at it, nobody here. `close` cuts every connection, so no thread hangs on a watch.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.kubernetes.kubevirt.fields import Document
from tests.kubernetes.kubevirt.resources import Resource

JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
REQUEST_LIMIT_S = 20.0
WATCH_S = 240


class Refused(Exception):
    """The API server said no: a code of HTTP, a reason of Kubernetes and a sentence."""

    def __init__(self, code: int, status: Document) -> None:
        super().__init__(str(status.get("message") or f"HTTP {code}"))
        self.code = code
        self.reason = str(status.get("reason") or "")
        self.status = status


class Away(Exception):
    """The API server did not answer; what was asked may have been done."""


class Api:
    """Safe to use from several threads."""

    def __init__(self, server: str, trusts: ssl.SSLContext) -> None:
        self._address = urlsplit(server).netloc
        self._trusts = trusts
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: set[HTTPSConnection] = set()
        self._closed = False

    def get(self, path: str) -> Document | None:
        """An object; None where there is none, or no such kind."""
        try:
            return self.request("GET", path)
        except Refused as refusal:
            if refusal.code == 404:
                return None
            raise

    def list(self, resource: Resource, namespace: str = "", **query: str) -> Document:
        """A list with its version."""
        return self.request("GET", f"{resource.collection(namespace)}?{urlencode(query)}")

    def create(self, resource: Resource, body: Document) -> Document:
        return self.request("POST", resource.collection(body["metadata"].get("namespace", "")), body)

    def ensure(self, resource: Resource, body: Document) -> None:
        """Create it, unless it is there."""
        with contextlib.suppress(Conflict):
            self.create(resource, body)

    def update(self, resource: Resource, body: Document, subresource: str = "") -> Document:
        """Replace it, if nobody else has written since; else Refused with code 409."""
        namespace, name = body["metadata"].get("namespace", ""), body["metadata"]["name"]
        return self.request("PUT", resource.path(namespace, name, subresource), body)

    def patch(self, path: str, body: Any, *, content_type: str = MERGE) -> Document:
        return self.request("PATCH", path, body, content_type=content_type)

    def delete(self, path: str, **options: Any) -> Document | None:
        """What is left of it; None if it was gone already."""
        try:
            return self.request("DELETE", path, options or None)
        except Refused as refusal:
            if refusal.code == 404:
                return None
            raise

    def request(self, method: str, path: str, body: Any = None, *, content_type: str = JSON) -> Document:
        """Raises Refused or Away. A connection that has died between two requests is replaced once."""
        try:
            return self._request(method, path, body, content_type)
        except (ConnectionError, HTTPException):
            self._forget()
        try:
            return self._request(method, path, body, content_type)
        except (OSError, HTTPException) as error:
            self._forget()
            raise Away(f"{method} {path}: {error}") from error

    def watch(self, resource: Resource, version: str) -> Iterator[Document]:
        """Events after a version, until the server ends the watch or the client is closed; raises Away, Refused."""
        query = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_S),
        }
        connection = self._connect(WATCH_S + REQUEST_LIMIT_S)
        try:
            connection.request("GET", f"{resource.collection()}?{urlencode(query)}", headers={"Accept": JSON})
            response = connection.getresponse()
            if response.status >= 400:
                raise _refusal(response)
            for line in response:
                yield json.loads(line)
        except (OSError, HTTPException, ValueError) as error:
            raise Away(str(error)) from error
        finally:
            self._drop(connection)

    def close(self) -> None:
        """No request succeeds after this, and every watch ends."""
        with self._lock:
            self._closed = True
            left = list(self._open)
        for connection in left:
            _cut(connection)

    def release(self) -> None:
        """Close what is left, when no thread uses it any more."""
        for connection in list(self._open):
            self._drop(connection)

    def _request(self, method: str, path: str, body: Any, content_type: str) -> Document:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect(REQUEST_LIMIT_S)
        headers = {"Accept": JSON} | ({"Content-Type": content_type} if body is not None else {})
        connection.request(method, path, None if body is None else _encoded(body), headers)
        response = connection.getresponse()
        if response.status >= 400:
            raise _refusal(response)
        return dict(json.loads(response.read() or b"{}"))

    def _connect(self, timeout_s: float) -> HTTPSConnection:
        connection = HTTPSConnection(self._address, context=self._trusts, timeout=timeout_s)
        with self._lock:
            if self._closed:
                raise Away("the client is closed")
            self._open.add(connection)
        return connection

    def _forget(self) -> None:
        connection = getattr(self._local, "connection", None)
        self._local.connection = None
        if connection is not None:
            self._drop(connection)

    def _drop(self, connection: HTTPSConnection) -> None:
        connection.close()
        with self._lock:
            self._open.discard(connection)


class Conflict(Refused):
    """It is there already, or somebody else has written it since it was read."""


def _encoded(body: Any) -> bytes:
    """As Go writes JSON: a ControllerRevision's data is kept as it came, and compared byte by byte with what Go makes of it."""
    text = json.dumps(body, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    for character in "&<>":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def _refusal(response: HTTPResponse) -> Refused:
    answer = response.read()
    try:
        status = json.loads(answer)
    except ValueError:
        status = {"message": answer.decode(errors="replace")}
    kind = Conflict if response.status == 409 else Refused
    return kind(response.status, status if isinstance(status, dict) else {})


def _cut(connection: HTTPSConnection) -> None:
    """Wake whoever reads from it; the reader closes it."""
    held = connection.sock
    if held is not None:
        with contextlib.suppress(OSError):
            held.shutdown(socket.SHUT_RDWR)
