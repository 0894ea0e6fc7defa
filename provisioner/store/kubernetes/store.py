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

from provisioner.model.errors import AlreadyExists, Conflict, HikubeError, NotFound
from provisioner.model.kinds import KINDS, WORDS
from provisioner.model.metadata import Key
from provisioner.store import semantics
from provisioner.store.kubernetes import acceptance, documents
from provisioner.store.kubernetes.answers import Answers
from provisioner.store.kubernetes.api_server import APPLY_PATCH
from provisioner.store.kubernetes.event_log import EventLog
from provisioner.store.kubernetes.journal import Journal
from provisioner.store.kubernetes.listing import pages
from provisioner.store.kubernetes.paths import collection_of, path_of
from provisioner.store.kubernetes.reading import Reader
from provisioner.store.kubernetes.reflector import Reflector
from provisioner.store.kubernetes.refusals import is_not_served, not_served
from provisioner.store.protocol import Change, ChangeType, Event, Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from provisioner.model.clock import Clock
    from provisioner.model.metadata import Metadata, Resource
    from provisioner.model.tables import Tables
    from provisioner.store.kubernetes.api_server import ApiServer

log = logging.getLogger(__name__)
R = TypeVar("R", bound="Resource")

FIELD_MANAGER = "hikube"
ANSWERED_BY_NOBODY_ELSE = ("Kubernetes", "KubernetesNodes", "Image")
"""Kinds that users write, and that no reconciler lists."""
BEFORE_WATCHING = "@"
"""Versions of lists that were made before anything was watched begin with it, and go on with the server's version."""

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
        self._journal = Journal(kept=history_kept)
        self._reflectors: list[Reflector] = []
        self._begun = threading.Lock()
        self._first_version = ""
        """Of the oldest list, from which watching begins."""
        self._events = EventLog(server, clock=clock, uid_of=lambda key: self._reader.uid_of(key))
        self._answers = Answers(server, clock=clock, tell=self._events.record)
        self._reader = Reader(
            server, tables=tables, journal=self._journal, answers=self._answers, refused=refused or _log_refused
        )

    def __enter__(self) -> KubernetesStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching and answering. Idempotent."""
        self._answers.close()
        with self._begun:
            for reflector in self._reflectors:
                reflector.stop()
        self._server.close()

    def get(self, kind: type[R], name: str, *, namespace: str = "") -> R:
        """As Store says."""
        key = Key(kind.KIND, namespace, name)
        return cast("R", self._reader.resource(key, self._document(key)))

    def list(self, kind: type[R], *, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Listing[R]:
        """As Store says; objects that the model does not have are left out, and reported."""
        position = self._journal.position  # before the list is made: what comes after it may be told twice, never not at all
        selectors = dict(labels or {}) | _own(kind.KIND)
        query = {"labelSelector": ",".join(f"{name}={value}" for name, value in selectors.items())} if selectors else {}
        try:
            listed = pages(self._server, collection_of(kind.KIND, namespace or None), query=query)
        except NotFound as error:
            raise not_served(error, kind=kind.KIND) from error
        found = (self._reader.readable(item, kind=kind.KIND) for item in listed.items)
        items = [each for each in found if each is not None and namespace in (None, each.metadata.namespace)]
        items.sort(key=lambda each: (each.metadata.namespace, each.metadata.name))
        return Listing(cast("tuple[R, ...]", tuple(items)), self._version_of_list(position, listed.version))

    def create(self, resource: R, *, keeps_identity: bool = False) -> R:
        """As Store says."""
        document = documents.document_of(self._reader.with_servers_owners(resource))
        if keeps_identity and resource.metadata.uid:
            document["metadata"]["annotations"][documents.IDENTITY] = resource.metadata.uid
        if record := self._reader.first_record_of(resource):
            document["metadata"]["annotations"][acceptance.ACCEPTED] = record
        collection = collection_of(resource.kind, resource.metadata.namespace or None)
        try:
            answer = self._server.request("POST", collection, query=_MANAGED, body=document)
        except AlreadyExists as error:
            raise semantics.taken(resource.key) from error
        except NotFound as error:
            raise not_served(error, kind=resource.kind, namespace=resource.metadata.namespace) from error
        created = self._reader.resource(resource.key, answer)
        if resource.kind != "Secret" and resource.status != type(resource.status)():
            wanted = created.model_copy(update={"status": resource.status})
            created = self._reader.resource(resource.key, self._apply_status(wanted))
        self._journal.tell(ChangeType.ADDED, created)
        return cast("R", created)

    def update(self, resource: R) -> R:
        """As Store says."""
        key = resource.key
        stored_document = self._document(key)
        stored = self._current(resource, stored_document)
        wanted, is_new_spec = self._reader.with_servers_owners(resource), resource.spec != stored.spec
        record = self._reader.record_of(wanted, stored_document, is_new_spec=is_new_spec)
        document = documents.changed(stored_document, wanted, is_new_spec=is_new_spec, record=record)
        if document == stored_document:
            return cast("R", stored)
        answer = self._refusing_late(key, resource.metadata, "PUT", path_of(key), query=_MANAGED, body=document)
        updated = self._reader.resource(key, answer, before=stored)
        is_removed = updated.is_being_deleted and not updated.metadata.finalizers
        self._journal.tell(ChangeType.DELETED if is_removed else ChangeType.MODIFIED, updated)
        return cast("R", updated)

    def update_status(self, resource: R) -> R:
        """As Store says."""
        updated = self._reader.resource(resource.key, self._apply_status(resource))
        if updated.metadata.resource_version != resource.metadata.resource_version:
            self._journal.tell(ChangeType.MODIFIED, updated)
        return cast("R", updated)

    def delete(self, key: Key, *, uid: str = "", version: str = "") -> None:
        """As Store says; what it owns goes some time later."""
        document = self._document(key)
        known, stored = documents.metadata_of(document), self._reader.readable(document, kind=key.kind)
        if uid not in ("", known.uid):
            raise semantics.missing(key)
        if version not in ("", known.resource_version):
            raise semantics.overtaken(key, stored=known.resource_version, given=version)
        preconditions = {"uid": document["metadata"]["uid"]} | ({"resourceVersion": version} if version else {})
        options = {"preconditions": preconditions, "propagationPolicy": "Background"}
        answer = self._refusing_late(key, known, "DELETE", path_of(key), body=options)
        if stored is None:
            return  # nobody knows it, or its watch tells
        if answer.get("kind") == key.kind:
            self._journal.tell(ChangeType.MODIFIED, self._reader.resource(key, answer))
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

    def answer(self, fence: Callable[[], None], *, class_name: str) -> None:
        """Tell objects of that class from now on whether they are understood; for whoever runs the control loop."""
        self._answers.begin(fence, class_name=class_name)
        for kind in ANSWERED_BY_NOBODY_ELSE:
            self.list(KINDS[kind])

    def _document(self, key: Key) -> Document:
        if WORDS[key.kind].is_namespaced != bool(key.namespace):
            raise semantics.missing(key)
        try:
            return self._server.request("GET", path_of(key))
        except NotFound as error:
            raise (not_served(error, kind=key.kind) if is_not_served(error) else semantics.missing(key)) from error

    def _current(self, wanted: Resource, document: Document) -> Resource:
        """What is stored. Raises NotFound, Conflict: it is another object, or another version, than what was read."""
        _raise_if_other(wanted.key, wanted.metadata, document)
        return self._reader.resource(wanted.key, document)

    def _apply_status(self, resource: Resource) -> Document:
        known = resource.metadata
        if not known.resource_version:
            stored = documents.metadata_of(self._document(resource.key))
            raise semantics.overtaken(resource.key, stored=stored.resource_version, given="")
        metadata = {"name": known.name, "resourceVersion": known.resource_version}
        if known.namespace:
            metadata["namespace"] = known.namespace
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
        body["status"] = documents.status_of(resource)
        query = _MANAGED | {"force": "true"}
        path = f"{path_of(resource.key)}/status"
        return self._refusing_late(resource.key, known, "PATCH", path, query=query, body=body, content_type=APPLY_PATCH)

    def _refusing_late(self, key: Key, known: Metadata, method: str, path: str, **request: Any) -> Document:
        """The answer. Raises NotFound, Conflict: as the store says, whatever the server's words for it."""
        try:
            return self._server.request(method, path, **request)
        except NotFound as error:
            raise semantics.missing(key) from error
        except Conflict as error:
            _raise_if_other(key, known, self._document(key))
            raise semantics.overtaken(key, stored="", given=known.resource_version) from error

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
                    collection_of(kind, None),
                    kind=kind,
                    journal=self._journal,
                    read=lambda document, kind=kind: self._reader.readable(document, kind=kind),  # type: ignore[misc]
                    query={"labelSelector": ",".join(f"{name}={value}" for name, value in _own(kind).items())},
                    since=self._first_version,
                )
                self._reflectors.append(reflector)
                reflector.start()


def _log_refused(key: Key, why: HikubeError) -> None:
    log.warning("%s cannot be understood and is left out: %s", key, why)


def _raise_if_other(key: Key, known: Metadata, document: Document) -> None:
    """Raises NotFound, Conflict: the stored object is another one, or of another version."""
    stored = documents.metadata_of(document)
    if known.uid not in ("", stored.uid):
        raise semantics.missing(key)
    if known.resource_version != stored.resource_version:
        raise semantics.overtaken(key, stored=stored.resource_version, given=known.resource_version)


_MANAGED = {"fieldManager": FIELD_MANAGER}


def _own(kind: str) -> dict[str, str]:
    """The label that our objects bear, of a kind that others have too."""
    return {documents.MANAGED_BY: documents.OURS} if kind == "Secret" else {}
