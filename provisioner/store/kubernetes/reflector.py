"""Hears what happens to the objects of one kind, for as long as the store is watched; one thread for each kind.

    watch from a version ──> events, bookmarks ──┐
      ↑   ↑ ended, away: again from there <──────┤
      │   └── pause that grows                   │
      └── from now, and the journal forgets <────┘ the version is too old

Nothing here decides what a change means. A server that is silent for longer than its bookmarks take is away.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from provisioner.model.errors import HikubeError
from provisioner.store.kubernetes import documents
from provisioner.store.kubernetes.refusals import is_expired, refused_event
from provisioner.store.protocol import ChangeType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from provisioner.model.metadata import Resource
    from provisioner.store.kubernetes.api_server import ApiServer
    from provisioner.store.kubernetes.journal import Journal

log = logging.getLogger(__name__)

WATCH_S = 290
"""The server ends a watch after so long; then the next begins."""
SILENCE_S = 100.0
"""Bookmarks come about once a minute."""
PAUSE_FIRST_S = 0.25
PAUSE_MOST_S = 15.0


class Reflector:
    """Of one kind.

    Args:
        read: makes a resource of a document; None for one that the model does not have.
        query: what else selects the objects.
        since: where to begin: the version of a list.
    """

    def __init__(
        self,
        server: ApiServer,
        path: str,
        *,
        kind: str,
        journal: Journal,
        read: Callable[[Mapping[str, Any]], Resource | None],
        query: Mapping[str, str],
        since: str,
    ) -> None:
        self._server = server
        self._path = path
        self._kind = kind
        self._journal = journal
        self._read = read
        self._query = dict(query)
        self._version = since
        self._stopped = threading.Event()
        self._end_stream: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns at once."""
        self._stopped.set()
        self._end_stream()

    def _run(self) -> None:
        pause_s = PAUSE_FIRST_S
        while not self._stopped.is_set():
            try:
                self._watch()
                pause_s = PAUSE_FIRST_S
            except HikubeError as error:
                if self._stopped.is_set():
                    return
                if is_expired(error):
                    self._version = ""
                else:
                    log.info("watch of %s: %s", self._path, error)
                self._stopped.wait(pause_s)
                pause_s = min(PAUSE_MOST_S, pause_s * 2)

    def _watch(self) -> None:
        if not self._version:
            self._begin_anew()
        query = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S), "resourceVersion": self._version}
        stream = self._server.stream(self._path, query=self._query | query, silence_s=SILENCE_S, opened=self._opened)
        for event in stream:
            self._take(event)

    def _begin_anew(self) -> None:
        """From now on; what happened in between is not to be had, and everybody lists again."""
        answer = self._server.request("GET", self._path, query=self._query | {"limit": "1"})
        self._journal.forget()
        self._version = str(answer["metadata"]["resourceVersion"])

    def _opened(self, end: Callable[[], None]) -> None:
        self._end_stream = end
        if self._stopped.is_set():
            end()

    def _take(self, event: Mapping[str, Any]) -> None:
        document = event["object"]
        if event["type"] == "ERROR":
            raise refused_event(dict(event), what=f"watch {self._path}")
        if event["type"] != "BOOKMARK":
            resource = self._read(document)
            if resource is not None:
                self._journal.tell(ChangeType(event["type"]), resource)
            elif event["type"] == ChangeType.DELETED:
                self._journal.tell_gone(documents.key_of(document, kind=self._kind), uid=documents.uid_of(document))
        self._version = str(document["metadata"]["resourceVersion"])
