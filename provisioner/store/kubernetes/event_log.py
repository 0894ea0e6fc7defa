"""Events of the API server: one for each object, reason and message, with how often it was told and when last.

An event's name follows from what it tells, so whoever tells the same counts on in the same event, in whatever process. The
server forgets events after an hour; the bounds of other stores are not needed then. Those of cluster-scoped objects live in
`default`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal

from provisioner.model.clock import timestamp
from provisioner.model.errors import AlreadyExists, NotFound
from provisioner.model.kinds import WORDS
from provisioner.model.metadata import Key
from provisioner.store import semantics
from provisioner.store.kubernetes.api_server import MERGE_PATCH
from provisioner.store.kubernetes.documents import MANAGED_BY, OURS
from provisioner.store.kubernetes.listing import pages
from provisioner.store.protocol import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from provisioner.model.clock import Clock
    from provisioner.store.kubernetes.api_server import ApiServer

GROUP = "/apis/events.k8s.io/v1"
CLUSTER_NAMESPACE = "default"
REPORTER = "hikube.cloud/hikube"
NOTE_MAX_CHARS = 1_024
NAME_MAX_CHARS = 200
COUNTS_KEPT = 5_000

Document = dict[str, Any]


class EventLog:
    """Records and lists. Safe to use from several threads: of two that count at once one may be lost.

    Args:
        uid_of: the server's uid of an object, empty if it is not known; what `kubectl describe` finds events by.
    """

    def __init__(self, server: ApiServer, *, clock: Clock, uid_of: Callable[[Key], str]) -> None:
        self._server = server
        self._clock = clock
        self._uid_of = uid_of
        self._counts: OrderedDict[str, int] = OrderedDict()
        """By path: how often this process knows it to have been told."""

    def record(self, event: Event) -> None:
        """As Store.record."""
        told, now = semantics.told(event), timestamp(self._clock.now_s())
        collection = f"{GROUP}/namespaces/{event.about.namespace or CLUSTER_NAMESPACE}/events"
        name = _name(told)
        path = f"{collection}/{name}"
        if path not in self._counts:
            with contextlib.suppress(AlreadyExists):
                self._server.request("POST", collection, body=self._document(told, name, now))
                self._note(path, 1)
                return
            self._note(path, _count(self._server.request("GET", path)))
        count = self._counts[path] + 1
        series = {"count": count, "lastObservedTime": now}
        try:
            self._server.request("PATCH", path, body={"series": series}, content_type=MERGE_PATCH)
            self._note(path, count)
        except NotFound:  # the server has forgotten it
            self._server.request("POST", collection, body=self._document(told, name, now))
            self._note(path, 1)

    def list(self, about: Key | None, *, namespace: str | None) -> tuple[Event, ...]:
        """As Store.events."""
        listed = pages(self._server, f"{GROUP}/events", query={"labelSelector": f"{MANAGED_BY}={OURS}"})
        events = [_event(item) for item in listed.items]
        events = [each for each in events if about in (None, each.about) and namespace in (None, each.about.namespace)]
        return tuple(sorted(events, key=lambda each: each.last_timestamp))

    def _note(self, path: str, count: int) -> None:
        self._counts[path] = count
        self._counts.move_to_end(path)
        if len(self._counts) > COUNTS_KEPT:
            self._counts.popitem(last=False)

    def _document(self, event: Event, name: str, now: str) -> Document:
        about = event.about
        regarding = {"apiVersion": WORDS[about.kind].api_version, "kind": about.kind, "name": about.name}
        if about.namespace:
            regarding["namespace"] = about.namespace
        if uid := self._uid_of(about):
            regarding["uid"] = uid
        namespace = about.namespace or CLUSTER_NAMESPACE
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace, "labels": {MANAGED_BY: OURS}},
            "eventTime": now,
            "reportingController": REPORTER,
            "reportingInstance": OURS,
            "action": event.reason,
            "reason": event.reason,
            "regarding": regarding,
            "note": event.message[:NOTE_MAX_CHARS],
            "type": event.type,
        }


def _name(event: Event) -> str:
    told = "\0".join((*_words(event.about), event.type, event.reason, event.message))
    return f"{event.about.name[:NAME_MAX_CHARS]}.{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def _words(key: Key) -> tuple[str, str, str]:
    return key.kind, key.namespace, key.name


def _count(document: Document) -> int:
    return int((document.get("series") or {}).get("count") or 1)


def _event(document: Document) -> Event:
    regarding = document["regarding"]
    first = str(document["eventTime"])
    last = str((document.get("series") or {}).get("lastObservedTime") or first)
    about = Key(regarding["kind"], regarding.get("namespace", ""), regarding["name"])
    weight: Literal["Normal", "Warning"] = "Warning" if document.get("type") == "Warning" else "Normal"
    return Event(about, weight, document["reason"], document.get("note", ""), _count(document), first, last)
