"""What a cluster tells by itself: three watches, each in its thread, turned into host events for whoever subscribed.

    first subscriber ──> list, remember what each object looks like ──> watch from there ──> another look: tell
                              ↑ the version is too old: list again, and tell what differs ──┘
    nobody answers for LOST_AFTER_S ──> connection-lost, once; the feed is over

Only what a look would show is compared (appearance): heartbeats and counters tell nothing, and nothing else of an object is
remembered. A server that is silent for longer than its bookmarks take is away.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from provisioner.drivers.host_events import HostEvent, HostEventKind, Listener
from provisioner.drivers.kubevirt.api import Api
from provisioner.drivers.kubevirt.appearance import SUBJECTS, Appearance, Key, Subject
from provisioner.drivers.kubevirt.refusals import is_expired, refused_event
from provisioner.drivers.kubevirt.sight import Document, metadata
from provisioner.model.clock import Clock
from provisioner.model.errors import HikubeError, HostUnreachable

log = logging.getLogger(__name__)

WATCH_S = 290
"""The server ends a watch after so long; then the next begins."""
SILENCE_S = 100.0
"""Bookmarks come about once a minute."""
LOST_AFTER_S = 20.0
PAUSE_FIRST_S = 0.25
PAUSE_MOST_S = 5.0


class Feed:
    """Listeners of one connection. Safe to use from several threads."""

    def __init__(self, api: Api, *, clock: Clock, lost_after_s: float = LOST_AFTER_S) -> None:
        self._lock = threading.RLock()
        self._listeners: dict[Listener, None] = {}
        made = partial(_Watch, api, clock=clock, lost_after_s=lost_after_s, tell=self._tell, lost=self._lost)
        self._watches = [made(subject) for subject in SUBJECTS]
        self._is_running = False
        self.end = ""
        """Why nothing is told any more; empty while it is."""

    def add(self, listener: Listener) -> None:
        """Tell this listener as well; once, however often it is added.

        Raises:
            HostUnreachable, NotAllowed, HypervisorError: the cluster cannot be watched.
        """
        with self._lock:
            if self.end:
                raise HostUnreachable("the cluster is not watched any more", why=self.end)
            if not self._is_running:
                for watch in self._watches:
                    watch.list()
                for watch in self._watches:
                    watch.start()
                self._is_running = True
            self._listeners[listener] = None

    def stop(self) -> None:
        """End, and tell nobody. Idempotent."""
        self._finish("the connection was closed")

    def _tell(self, event: HostEvent) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(event)

    def _lost(self, why: str) -> None:
        for listener in self._finish(why):
            listener(HostEvent(HostEventKind.CONNECTION_LOST, why))

    def _finish(self, why: str) -> tuple[Listener, ...]:
        """Stop the watches; the listeners that were there, to whoever comes first."""
        with self._lock:
            if self.end:
                return ()
            self.end = why
            listeners, self._listeners = tuple(self._listeners), {}
        for watch in self._watches:
            watch.stop()
        return listeners


class _Watch:
    """Of one kind of object."""

    def __init__(
        self,
        api: Api,
        subject: Subject,
        *,
        clock: Clock,
        lost_after_s: float,
        tell: Callable[[HostEvent], None],
        lost: Callable[[str], None],
    ) -> None:
        self._api = api
        self._subject = subject
        self._clock = clock
        self._lost_after_s = lost_after_s
        self._tell = tell
        self._lost = lost
        self._seen: dict[Key, Appearance] | None = None
        self._version = ""
        self._failing_since_s: float | None = None
        self._stopped = threading.Event()
        self._end_stream: Callable[[], None] = lambda: None

    def list(self) -> None:
        """Remember what there is, and from which version on to watch; tells what differs from what was remembered."""
        items, self._version = self._api.items(self._subject.path, query=self._subject.query)
        found = {_key(item): self._subject.looks_like(item) for item in items}
        before, self._seen = self._seen, found
        if before is None:
            return
        for key in sorted(before.keys() | found.keys()):
            if before.get(key) != found.get(key):
                self._tell(self._subject.event(key, found.get(key)))

    def start(self) -> None:
        """Watch in a thread of its own."""
        threading.Thread(target=self._run, name=f"watch {self._subject.path}", daemon=True).start()

    def stop(self) -> None:
        """End; returns at once."""
        self._stopped.set()
        self._end_stream()

    def _run(self) -> None:
        pause_s = PAUSE_FIRST_S
        while not self._stopped.is_set():
            try:
                self._watch()
            except HikubeError as error:
                if self._stopped.is_set() or self._gives_up(error):
                    return
                pause_s = PAUSE_FIRST_S if self._failing_since_s is None else min(PAUSE_MOST_S, pause_s * 2)
            self._stopped.wait(pause_s)

    def _gives_up(self, error: HikubeError) -> bool:
        """Take note of a failure; whether it was one too many."""
        if is_expired(error):
            self._version = ""
            return False
        log.info("watch of %s: %s", self._subject.path, error)
        now_s = self._clock.monotonic_s()
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        is_lost = now_s - self._failing_since_s >= self._lost_after_s
        if is_lost:
            self._lost(str(error))
        return is_lost

    def _watch(self) -> None:
        if not self._version:
            self.list()
        query = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S), "resourceVersion": self._version}
        stream = self._api.stream(
            self._subject.path, query={**self._subject.query, **query}, silence_s=SILENCE_S, opened=self._opened
        )
        for event in stream:
            self._take(event)

    def _opened(self, end: Callable[[], None]) -> None:
        self._failing_since_s = None
        self._end_stream = end
        if self._stopped.is_set():
            end()

    def _take(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "ERROR":
            raise refused_event(dict(event), what=f"watching {self._subject.path} was ended")
        document = event["object"]
        self._version = str(metadata(document)["resourceVersion"])
        if event["type"] == "BOOKMARK" or self._seen is None:
            return
        key, before = _key(document), self._seen.get(_key(document))
        if event["type"] == "DELETED":
            self._seen.pop(key, None)
            self._tell(self._subject.event(key, None))
            return
        after = self._seen[key] = self._subject.looks_like(document)
        if after != before:
            self._tell(self._subject.event(key, after))


def _key(document: Document) -> Key:
    return str(metadata(document).get("namespace", "")), str(metadata(document).get("name", ""))
