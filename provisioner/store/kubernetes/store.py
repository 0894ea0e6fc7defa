"""The store on a Kubernetes API server: custom resources of our groups, and core Secrets of our own.

    get, list, create, update, delete ──> requests ──> told to the journal at once, if they changed something
    watch ──> the journal <── reflectors, one thread for each kind, from the version of the oldest list on

Concurrency, generations and finalizers are the server's; what is owned is removed by its garbage collector, so some time after
its owner. Status is written by server-side apply under our field manager. Where the model and the server differ:

- An object is created and then gets its status, in two requests: custom resources have none at their creation.
- A spec stays in the shape in which its user wrote it, until somebody changes it through the store.
- A watch begins with the first one: until then a list's version is the server's, from then on a position of the journal.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar, cast

from provisioner.model.errors import AlreadyExists, Conflict, HikubeError, InvalidInput, NotFound
from provisioner.model.kinds import KINDS, WORDS
from provisioner.model.metadata import Key
from provisioner.store import semantics
from provisioner.store.kubernetes import documents
from provisioner.store.kubernetes.api_server import APPLY_PATCH
from provisioner.store.kubernetes.event_log import EventLog
from provisioner.store.kubernetes.journal import Journal
from provisioner.store.kubernetes.listing import pages
from provisioner.store.kubernetes.reflector import Reflector
from provisioner.store.protocol import Change, ChangeType, Event, Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from provisioner.model.clock import Clock
    from provisioner.model.metadata import Resource
    from provisioner.model.tables import Tables
    from provisioner.store.kubernetes.api_server import ApiServer

log = logging.getLogger(__name__)
R = TypeVar("R", bound="Resource")

FIELD_MANAGER = "hikube"
BEFORE_WATCHING = "@"
"""Versions of lists that were made before anything was watched begin with it, and go on with the server's version."""
UIDS_KEPT = 20_000

Document = dict[str, Any]


class KubernetesStore:
    """Safe to use from several threads. Use as a context, or close it."""

    def __init__(
        self,
        server: ApiServer,
        *,
        clock: Clock,
        tables: Tables,
        history_kept: int = semantics.HISTORY_KEPT,
        refused: Callable[[Key, HikubeError], None] | None = None,
    ) -> None:
        self._server = server
        self._tables = tables
        self._refused = refused or _log_refused
        """Told of objects that the server took and the model does not have; they are in no list."""
        self._journal = Journal(kept=history_kept)
        self._reflectors: list[Reflector] = []
        self._begun = threading.Lock()
        self._first_version = ""
        """Of the oldest list, from which watching begins."""
        self._uids: dict[Key, str] = {}
        """The server's."""
        self._events = EventLog(server, clock=clock, uid_of=lambda key: self._uids.get(key, ""))

    def __enter__(self) -> KubernetesStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching. Idempotent."""
        with self._begun:
            for reflector in self._reflectors:
                reflector.stop()

    def get(self, kind: type[R], name: str, *, namespace: str = "") -> R:
        """As Store says."""
        key = Key(kind.KIND, namespace, name)
        return cast("R", self._resource(key, self._document(key)))

    def list(self, kind: type[R], *, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Listing[R]:
        """As Store says; objects that the model does not have are left out, and reported."""
        position = self._journal.position  # before the list is made: what comes after it may be told twice, never not at all
        selectors = dict(labels or {}) | _own(kind.KIND)
        query = {"labelSelector": ",".join(f"{name}={value}" for name, value in selectors.items())} if selectors else {}
        listed = pages(self._server, _collection(kind.KIND, namespace or None), query=query)
        found = (self._readable(item, kind=kind.KIND) for item in listed.items)
        items = [each for each in found if each is not None and namespace in (None, each.metadata.namespace)]
        items.sort(key=lambda each: (each.metadata.namespace, each.metadata.name))
        return Listing(cast("tuple[R, ...]", tuple(items)), self._version_of_list(position, listed.version))

    def create(self, resource: R, *, keeps_identity: bool = False) -> R:
        """As Store says."""
        document = documents.document_of(resource)
        if keeps_identity and resource.metadata.uid:
            document["metadata"]["annotations"][documents.IDENTITY] = resource.metadata.uid
        collection = _collection(resource.kind, resource.metadata.namespace or None)
        try:
            answer = self._server.request("POST", collection, query=_MANAGED, body=document)
        except AlreadyExists as error:
            raise semantics.taken(resource.key) from error
        created = self._resource(resource.key, answer)
        if resource.kind != "Secret" and resource.status != type(resource.status)():
            wanted = created.model_copy(update={"status": resource.status})
            created = self._resource(resource.key, self._apply_status(wanted))
        self._journal.tell(ChangeType.ADDED, created)
        return cast("R", created)

    def update(self, resource: R) -> R:
        """As Store says."""
        key = resource.key
        stored_document = self._document(key)
        stored = self._current(resource, stored_document)
        document = _changed(stored_document, resource, is_new_spec=resource.spec != stored.spec)
        if document == stored_document:
            return cast("R", stored)
        path = _path(key)
        updated = self._resource(key, self._refusing_late(resource, "PUT", path, query=_MANAGED, body=document))
        is_removed = updated.is_being_deleted and not updated.metadata.finalizers
        self._journal.tell(ChangeType.DELETED if is_removed else ChangeType.MODIFIED, updated)
        return cast("R", updated)

    def update_status(self, resource: R) -> R:
        """As Store says."""
        updated = self._resource(resource.key, self._apply_status(resource))
        if updated.metadata.resource_version != resource.metadata.resource_version:
            self._journal.tell(ChangeType.MODIFIED, updated)
        return cast("R", updated)

    def delete(self, key: Key, *, uid: str = "", version: str = "") -> None:
        """As Store says; what it owns goes some time later."""
        document = self._document(key)
        stored = self._resource(key, document)
        if uid not in ("", stored.metadata.uid):
            raise semantics.missing(key)
        if version not in ("", stored.metadata.resource_version):
            raise semantics.overtaken(stored, version)
        preconditions = {"uid": document["metadata"]["uid"]} | ({"resourceVersion": version} if version else {})
        options = {"preconditions": preconditions, "propagationPolicy": "Background"}
        answer = self._refusing_late(stored, "DELETE", _path(key), body=options)
        if answer.get("kind") == key.kind:
            self._journal.tell(ChangeType.MODIFIED, self._resource(key, answer))
        else:
            self._journal.tell(ChangeType.DELETED, stored)

    def watch(self, since: str, *, timeout_s: float) -> tuple[Change, ...]:
        """As Store says; versions are of this process."""
        self._begin(since)
        if since.startswith(BEFORE_WATCHING):
            if int(since.removeprefix(BEFORE_WATCHING)) < int(self._first_version):
                raise semantics.too_old(since)
            since = "0"
        return self._journal.changes_after(since, timeout_s=timeout_s)

    def record(self, event: Event) -> None:
        """As Store says; the server forgets events after an hour."""
        self._events.record(event)

    def events(self, about: Key | None = None, *, namespace: str | None = None) -> tuple[Event, ...]:
        """As Store says."""
        return self._events.list(about, namespace=namespace)

    def _document(self, key: Key) -> Document:
        if WORDS[key.kind].is_namespaced != bool(key.namespace):
            raise semantics.missing(key)
        try:
            return self._server.request("GET", _path(key))
        except NotFound as error:
            raise semantics.missing(key) from error

    def _resource(self, key: Key, document: Document) -> Resource:
        self._uids[key] = str(document["metadata"]["uid"])
        if len(self._uids) > UIDS_KEPT:
            self._uids.pop(next(iter(self._uids)), None)
        return documents.resource_of(document, kind=key.kind, tables=self._tables)

    def _readable(self, document: Mapping[str, Any], *, kind: str) -> Resource | None:
        metadata = document["metadata"]
        key = Key(kind, metadata.get("namespace", ""), metadata["name"])
        try:
            return self._resource(key, dict(document))
        except InvalidInput as error:
            self._refused(key, error)
            return None

    def _current(self, wanted: Resource, document: Document) -> Resource:
        """What is stored. Raises NotFound, Conflict: it is another object, or another version, than what was read."""
        stored = self._resource(wanted.key, document)
        if wanted.metadata.uid not in ("", stored.metadata.uid):
            raise semantics.missing(wanted.key)
        if wanted.metadata.resource_version != stored.metadata.resource_version:
            raise semantics.overtaken(stored, wanted.metadata.resource_version)
        return stored

    def _apply_status(self, resource: Resource) -> Document:
        if not resource.metadata.resource_version:
            raise semantics.overtaken(self._resource(resource.key, self._document(resource.key)), "")
        metadata = {"name": resource.metadata.name, "resourceVersion": resource.metadata.resource_version}
        if resource.metadata.namespace:
            metadata["namespace"] = resource.metadata.namespace
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
        body["status"] = documents.status_of(resource)
        query = _MANAGED | {"force": "true"}
        path = f"{_path(resource.key)}/status"
        return self._refusing_late(resource, "PATCH", path, query=query, body=body, content_type=APPLY_PATCH)

    def _refusing_late(self, resource: Resource, method: str, path: str, **request: Any) -> Document:
        """The answer. Raises NotFound, Conflict: as the store says, whatever the server's words for it."""
        try:
            return self._server.request(method, path, **request)
        except NotFound as error:
            raise semantics.missing(resource.key) from error
        except Conflict as error:
            self._current(resource, self._document(resource.key))
            raise semantics.overtaken(resource, resource.metadata.resource_version) from error

    def _version_of_list(self, position: str, server_version: str) -> str:
        with self._begun:
            if self._reflectors:
                return position
            self._first_version = self._first_version or server_version
            return f"{BEFORE_WATCHING}{server_version}"

    def _begin(self, since: str) -> None:
        """Start the reflectors, if nobody has."""
        with self._begun:
            if self._reflectors:
                return
            if not self._first_version:
                raise semantics.too_old(since)
            for kind in KINDS:
                reflector = Reflector(
                    self._server,
                    _collection(kind, None),
                    journal=self._journal,
                    read=lambda document, kind=kind: self._readable(document, kind=kind),  # type: ignore[misc]
                    query={"labelSelector": ",".join(f"{name}={value}" for name, value in _own(kind).items())},
                    since=self._first_version,
                )
                self._reflectors.append(reflector)
                reflector.start()


def _log_refused(key: Key, why: HikubeError) -> None:
    log.warning("%s cannot be understood and is left out: %s", key, why)


_MANAGED = {"fieldManager": FIELD_MANAGER}


def _own(kind: str) -> dict[str, str]:
    """The label that our objects bear, of a kind that others have too."""
    return {documents.MANAGED_BY: documents.OURS} if kind == "Secret" else {}


def _collection(kind: str, namespace: str | None) -> str:
    words = WORDS[kind]
    root = f"/apis/{words.api_version}" if "/" in words.api_version else f"/api/{words.api_version}"
    return f"{root}/namespaces/{namespace}/{words.plural}" if namespace and words.is_namespaced else f"{root}/{words.plural}"


def _path(key: Key) -> str:
    return f"{_collection(key.kind, key.namespace)}/{key.name}"


def _changed(stored: Document, wanted: Resource, *, is_new_spec: bool) -> Document:
    """The stored document with the metadata, and a new spec, of what is wanted."""
    document = documents.document_of(wanted)
    metadata = dict(stored["metadata"])
    for field in ("labels", "annotations", "finalizers", "ownerReferences"):
        value = document["metadata"][field]
        if field == "annotations" and documents.IDENTITY in (metadata.get(field) or {}):
            value = {**value, documents.IDENTITY: metadata[field][documents.IDENTITY]}
        if value or field in metadata:
            metadata[field] = value
    metadata = {name: value for name, value in metadata.items() if value not in ({}, [])}
    content: Document = {name: document[name] for name in ("spec", "data") if name in document} if is_new_spec else {}
    return {**stored, "metadata": metadata, **content}
