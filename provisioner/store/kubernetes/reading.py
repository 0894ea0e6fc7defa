"""What came from the API server, as the model has it; and the server's names for what the model knows by others.

    understood            as it is
    refused, worked on    as it was accepted last (acceptance.py), so that what runs goes on; answered with a condition
    refused, new          in no list; answered with a condition

The uid of an object that came from another store is the one that it had there (documents.IDENTITY), and owner references in the
cluster must bear the server's, or its garbage collector takes what is owned away: they are translated here, both ways. Safe to
use from several threads.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from provisioner.model.classes import CLASS_LABEL
from provisioner.model.errors import HikubeError, InvalidInput, NotFound
from provisioner.model.kinds import WORDS
from provisioner.model.metadata import Key, OwnerReference, Resource
from provisioner.store.kubernetes import acceptance, documents
from provisioner.store.kubernetes.paths import path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from provisioner.model.tables import Tables
    from provisioner.store.kubernetes.answers import Answers
    from provisioner.store.kubernetes.api_server import ApiServer
    from provisioner.store.kubernetes.journal import Journal

UIDS_KEPT = 20_000

Document = dict[str, Any]


class Reader:
    """Of one store.

    Args:
        journal: knows what an object was before, where nothing is written down about that.
        answers: is told what was understood, and what was not.
        refused: is told of the latter too.
    """

    def __init__(
        self,
        server: ApiServer,
        *,
        tables: Tables,
        journal: Journal,
        answers: Answers,
        refused: Callable[[Key, HikubeError], None],
    ) -> None:
        self._server = server
        self._tables = tables
        self._journal = journal
        self._answers = answers
        self._refused = refused
        self._uids: OrderedDict[Key, str] = OrderedDict()
        """The server's."""
        self._moved: OrderedDict[str, str] = OrderedDict()
        """Of objects from elsewhere: by the server's uid, the one that they had there."""

    def uid_of(self, key: Key) -> str:
        """The server's uid of an object that was read; empty if none was."""
        return self._uids.get(key, "")

    def resource(self, key: Key, document: Document, *, before: Resource | None = None) -> Resource:
        """The model's object. `before`: as it was before the write that this document is the answer to.

        Raises:
            InvalidInput: the model has no such object, though the API server took it; `context["refused"]` is the key.
        """
        self._note(key, document)
        try:
            found = documents.resource_of(document, kind=key.kind, tables=self._tables)
        except InvalidInput as error:
            return self._as_accepted(key, document, error, before=before)
        self._answers.understood(key, document, record=lambda: _text(found, document, generation=found.metadata.generation))
        return self._placed(found, document)

    def readable(self, document: Mapping[str, Any], *, kind: str) -> Resource | None:
        """The model's object; None, and told, if it has none."""
        key = documents.key_of(document, kind=kind)
        try:
            return self.resource(key, dict(document))
        except InvalidInput as error:
            self._refused(key, error)
            return None

    def with_servers_owners(self, resource: Resource) -> Resource:
        """The object with owner references as the API server needs them; those to what is gone stay. Raises as it does."""
        owners = tuple(self._servers(owner, resource.metadata.namespace) for owner in resource.metadata.owner_references)
        return resource if owners == resource.metadata.owner_references else resource.with_metadata(owner_references=owners)

    def first_record_of(self, wanted: Resource) -> str:
        """The record of an object that is made with a finalizer of ours, because it comes from elsewhere; empty for others."""
        return self.record_of(wanted.with_metadata(generation=1), documents.document_of(wanted), is_new_spec=True)

    def record_of(self, wanted: Resource, document: Document, *, is_new_spec: bool) -> str:
        """The record that goes with that write of a stored object; empty: what it has stays."""
        generation = int(document["metadata"].get("generation") or 0)
        is_ours = any(name.startswith(acceptance.OUR_FINALIZERS) for name in wanted.metadata.finalizers)
        is_understood = is_new_spec or wanted.metadata.generation == generation
        if wanted.kind not in documents.WRITTEN or not is_ours or not is_understood:
            return ""
        if acceptance.is_recorded(document) and not is_new_spec:
            return ""
        return _text(wanted, document, generation=generation + is_new_spec)

    def _as_accepted(self, key: Key, document: Document, error: InvalidInput, *, before: Resource | None) -> Resource:
        error.context["refused"] = str(key)
        self._answers.refused(key, document, error)
        known = before or (self._journal.known(key) if acceptance.is_worked_on(document) else None)
        accepted = acceptance.as_accepted(document) or _as_it_was(known, document)
        if accepted is None:
            raise error
        try:
            found = documents.resource_of(accepted, kind=key.kind, tables=self._tables)
        except InvalidInput:
            raise error from None
        return self._placed(found, document)

    def _placed(self, resource: Resource, document: Document) -> Resource:
        """With the label of the class that serves it, and the uids of its owners that the model knows."""
        metadata = resource.metadata
        owners = tuple(
            owner.model_copy(update={"uid": self._moved[owner.uid]}) if owner.uid in self._moved else owner
            for owner in metadata.owner_references
        )
        if owners != metadata.owner_references:
            resource = resource.with_metadata(owner_references=owners)
        served = acceptance.class_of(document)
        if served == acceptance.labelled(document):
            return resource
        return resource.with_metadata(labels={**metadata.labels, CLASS_LABEL: served})

    def _note(self, key: Key, document: Document) -> None:
        uid = str(document["metadata"]["uid"])
        _remember(self._uids, key, uid)
        if (known := documents.uid_of(document)) != uid:
            _remember(self._moved, uid, known)

    def _servers(self, owner: OwnerReference, namespace: str) -> OwnerReference:
        if owner.kind not in WORDS:
            return owner
        key = Key(owner.kind, namespace if WORDS[owner.kind].is_namespaced else "", owner.name)
        if owner.uid != self.uid_of(key):
            try:
                document = self._server.request("GET", path_of(key))
            except NotFound:
                return owner  # it is gone, and what names it goes too
            self._note(key, document)
            if documents.uid_of(document) != owner.uid:
                return owner
        return owner.model_copy(update={"uid": self.uid_of(key)})


def _as_it_was(known: Resource | None, document: Document) -> Document | None:
    """With the spec that this process knew, where nothing is written down: somebody took the record or the finalizer away."""
    if known is None or known.metadata.uid != documents.uid_of(document):
        return None
    metadata = {**document["metadata"], "generation": known.metadata.generation}
    return {**document, "metadata": metadata, "spec": documents.spec_of(known)}


def _text(resource: Resource, document: Mapping[str, Any], *, generation: int) -> str:
    spec = documents.spec_of(resource)
    return acceptance.record_text(spec, generation=generation, class_name=acceptance.class_of(document))


def _remember(known: OrderedDict[Any, str], name: Any, uid: str) -> None:
    known[name] = uid
    while len(known) > UIDS_KEPT:
        try:
            known.popitem(last=False)
        except KeyError:
            return  # another thread was faster
