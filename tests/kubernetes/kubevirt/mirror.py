"""What the API server holds of one kind, kept current by a watch: the informer of a controller.

Own writes are put in at once, so that a controller never acts twice on what it has just done; the watch brings the rest. A
version that the watch has passed already is never put back, which would raise the dead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.kubernetes.kubevirt.api import Api, Away, Refused
from tests.kubernetes.kubevirt.fields import Document, Key, key_of
from tests.kubernetes.kubevirt.resources import Resource

RELIST_PAUSE_S = 0.2
START_LIMIT_S = 30.0

Listener = Callable[[Document], None]


class Mirror:
    """Start it once; it ends when the client is closed after `stop`."""

    def __init__(self, api: Api, resource: Resource) -> None:
        self._api = api
        self.resource = resource
        self._objects: dict[Key, Document] = {}
        self._seen = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._filled = threading.Event()
        self._listeners: list[Listener] = []
        self._thread = threading.Thread(target=self._run, name=f"kubevirt-mirror-{resource.plural}", daemon=True)

    def listen(self, listener: Listener) -> None:
        """Be told each object that came, changed or went; before `start` only, and from the mirror's thread."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Returns when the first list is in."""
        self._thread.start()
        assert self._filled.wait(START_LIMIT_S), f"no list of {self.resource.plural} within {START_LIMIT_S:g} s"

    def stop(self) -> None:
        """It will end; `join` after the client was closed."""
        self._stopping.set()

    def join(self) -> None:
        if self._thread.ident is None:
            return  # it was never started
        self._thread.join(START_LIMIT_S)
        assert not self._thread.is_alive(), f"the mirror of {self.resource.plural} does not end"

    def get(self, key: Key) -> Document | None:
        with self._lock:
            return self._objects.get(key)

    def all(self) -> list[Document]:
        with self._lock:
            return list(self._objects.values())

    def labelled(self, label: str, value: str) -> list[Document]:
        """Oldest first."""
        found = [each for each in self.all() if (each["metadata"].get("labels") or {}).get(label) == value]
        return sorted(found, key=lambda each: str(each["metadata"].get("creationTimestamp")))

    def put(self, document: Document) -> None:
        """An own write, as the server answered it."""
        with self._lock:
            if _version(document) > max(self._seen, _version(self._objects.get(key_of(document)))):
                self._objects[key_of(document)] = document

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                version = self._fill()
                while not self._stopping.is_set():
                    version = self._follow(version)
            except (Away, Refused):
                self._stopping.wait(RELIST_PAUSE_S)

    def _fill(self) -> str:
        listed = self._api.list(self.resource)
        version = str(listed["metadata"]["resourceVersion"])
        for each in listed["items"]:
            each.setdefault("apiVersion", self.resource.base.removeprefix("/apis/").removeprefix("/api/"))
            each.setdefault("kind", self.resource.kind)
        with self._lock:
            before = self._objects
            self._objects = {key_of(each): each for each in listed["items"]}
            self._seen = int(version)
        self._filled.set()
        for each in [*listed["items"], *(gone for key, gone in before.items() if key not in self._objects)]:
            self._tell(each)
        return version

    def _follow(self, version: str) -> str:
        for event in self._api.watch(self.resource, version):
            document = event["object"]
            if event["type"] == "ERROR":
                raise Refused(int(document.get("code") or 410), document)
            version = str(document["metadata"]["resourceVersion"])
            self._take(event["type"], document)
        return version

    def _take(self, event: str, document: Document) -> None:
        with self._lock:
            self._seen = max(self._seen, _version(document))
            if event == "BOOKMARK":
                return
            current = self._objects.get(key_of(document))
            if event == "DELETED":
                self._objects.pop(key_of(document), None)
            elif _version(document) >= _version(current):
                self._objects[key_of(document)] = document
        self._tell(document)

    def _tell(self, document: Document) -> None:
        for listener in self._listeners:
            listener(document)


def _version(document: Document | None) -> int:
    return int(document["metadata"]["resourceVersion"]) if document else 0
