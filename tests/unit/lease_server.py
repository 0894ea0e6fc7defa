"""A twin of an API server that has one Lease: versions, conflicts, and answers that get lost; with a clock moved by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provisioner.clocks import ManualClock
from provisioner.model.errors import AlreadyExists, Conflict, NotFound, StoreUnavailable
from provisioner.store.kubernetes.leader_lease import LeaderLease

Document = dict[str, Any]


class LeaseServer:
    """As much of an API server as LeaderLease asks for."""

    def __init__(self) -> None:
        self.stored: Document | None = None
        self.clock = ManualClock()
        self.is_away = False
        self.loses_answers = False
        self.answers_after_s = 0.0
        self.on_write: Callable[[], None] = lambda: None
        """Somebody else, between what is read and what is written."""
        self._version = 0

    def request(self, method: str, path: str, *, body: Document | None = None) -> Document:
        if self.is_away:
            raise StoreUnavailable("away")
        if method != "GET":
            on_write, self.on_write = self.on_write, lambda: None
            on_write()
            self._write(method, body or {})
            if self.loses_answers:
                raise StoreUnavailable("the answer is lost")
        self.clock.advance(self.answers_after_s)
        if self.stored is None:
            raise NotFound(path)
        return self.stored

    def edit(self, **labels: str) -> None:
        assert self.stored is not None
        self._store({**self.stored, "metadata": {**self.stored["metadata"], "labels": labels}})

    @property
    def spec(self) -> Document:
        assert self.stored is not None
        return dict(self.stored["spec"])

    def _write(self, method: str, body: Document) -> None:
        version = body["metadata"].get("resourceVersion")
        if method == "POST" and self.stored is not None:
            raise AlreadyExists("taken")
        if method == "PUT" and self.stored is None:
            raise NotFound("gone")
        if method == "PUT" and self.stored is not None and version != self.stored["metadata"]["resourceVersion"]:
            raise Conflict("overtaken")
        self._store(body)

    def _store(self, body: Document) -> None:
        self._version += 1
        self.stored = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self._version)}}


def lease(server: LeaseServer, identity: str, *, clock: ManualClock | None = None, **settings: Any) -> LeaderLease:
    """A contender; without a clock of its own it shares the server's."""
    words: dict[str, Any] = {"namespace": "hikube", "command": "hikube controller", "renews": False} | settings
    return LeaderLease(server, clock=clock or server.clock, identity=identity, **words)
