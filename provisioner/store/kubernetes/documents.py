"""Objects as an API server has them, and as the model has them. Pure.

    Resource ── document_of ──> what is sent             Secret: values in base64, marked as ours
    Resource <── resource_of ── what came                 a user's own shape of a spec is read as a file's is

What users write is stored as they wrote it, so a spec may have any shape that a document may have; what hikube writes is in
normal form, and is recognised by that. An identity that is older than the object (see Store.create) is kept in an annotation.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from provisioner.model.classes import CLASS_LABEL
from provisioner.model.documents import read_data
from provisioner.model.errors import InvalidInput
from provisioner.model.kinds import KINDS, WORDS, load
from provisioner.model.metadata import Key, Metadata, OwnerReference, Status
from provisioner.store import semantics
from provisioner.store.kubernetes import acceptance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provisioner.model.metadata import Resource
    from provisioner.model.tables import Tables

MANAGED_BY = "app.kubernetes.io/managed-by"
OURS = "hikube"
IDENTITY = "hikube.cloud/identity"
"""Annotation: the uid that the object had in the store that it came from; domains bear it."""
WRITTEN = frozenset({"VirtualMachine", "VMInstance", "VMDisk", "Kubernetes", "KubernetesNodes", "GPUHost", "GPUQuota", "Image"})
"""Kinds that users write."""
_ALIKE = frozenset({"GPUQuota"})
"""Kinds of which a user's shape may look like the normal form and yet say a model by another name."""

Document = dict[str, Any]


def document_of(resource: Resource) -> Document:
    """The object to send, status left out.

    Raises:
        InvalidInput: it holds what JSON cannot, or what is no text.
    """
    semantics.text_of(resource)
    known = resource.metadata
    metadata: Document = {
        "name": known.name,
        "labels": dict(known.labels),
        "annotations": dict(known.annotations),
        "finalizers": list(known.finalizers),
        "ownerReferences": [_owner_document(owner) for owner in known.owner_references],
    }
    if known.namespace:
        metadata["namespace"] = known.namespace
    head = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    if resource.kind == "Secret":
        metadata["labels"][MANAGED_BY] = OURS
        data = {name: base64.b64encode(value.encode()).decode() for name, value in resource.spec.data.items()}
        return {**head, "type": "Opaque", "data": data}
    return {**head, "spec": spec_of(resource)}


def spec_of(resource: Resource) -> Document:
    """Its spec in normal form."""
    return cast("Document", resource.as_json(only={"spec"}).get("spec", {}))


def status_of(resource: Resource) -> Document:
    """Its status in normal form, without the condition that is not its writer's (see acceptance.py)."""
    status = cast("Document", resource.as_json(only={"status"}).get("status", {}))
    conditions = status.get("conditions") or ()
    if any(each["type"] == acceptance.CONDITION for each in conditions):
        status["conditions"] = [each for each in conditions if each["type"] != acceptance.CONDITION]
    return status


def resource_of(document: Mapping[str, Any], *, kind: str, tables: Tables) -> Resource:
    """The model's object for what came; its kind is told apart, since items of a list do not name it.

    Raises:
        InvalidInput, InvalidDocuments: the model has no such object, though the API server took it.
    """
    head = {"apiVersion": WORDS[kind].api_version, "kind": kind}
    metadata = metadata_of(document)
    if kind == "Secret":
        spec: Document = {"data": {name: _text(name, value) for name, value in (document.get("data") or {}).items()}}
        return load({**head, "metadata": {"name": metadata.name}, "spec": spec}).model_copy(update={"metadata": metadata})
    known = {**head, "metadata": {"name": metadata.name, "namespace": metadata.namespace}}
    resource = _read({**known, "spec": document.get("spec") or {}}, tables=tables)
    status = _status(type(resource.status), document.get("status") or {}, of=f"{kind} {metadata.name}")
    return resource.model_copy(update={"metadata": metadata, "status": status})


def uid_of(document: Mapping[str, Any]) -> str:
    """The uid that the model knows it by."""
    metadata = document.get("metadata") or {}
    return str((metadata.get("annotations") or {}).get(IDENTITY) or metadata.get("uid") or "")


def key_of(document: Mapping[str, Any], *, kind: str) -> Key:
    """What names it."""
    return Key(kind, str(document["metadata"].get("namespace") or ""), str(document["metadata"]["name"]))


def _read(document: Document, *, tables: Tables) -> Resource:
    kind = KINDS[document["kind"]]
    if kind.KIND not in WRITTEN:
        return load(document)
    if kind.KIND in _ALIKE:
        return read_data(document, source=f"{kind.KIND} {document['metadata']['name']}", tables=tables)
    try:
        resource = load(document)
    except InvalidInput:
        return read_data(document, source=f"{kind.KIND} {document['metadata']['name']}", tables=tables)
    if spec_of(resource) == document["spec"]:
        return resource  # in normal form: hikube wrote it
    return read_data(document, source=f"{kind.KIND} {document['metadata']['name']}", tables=tables)


def _status(kind: type[Status], written: Mapping[str, Any], *, of: str) -> Status:
    try:
        return kind.model_validate(written)
    except ValidationError as error:
        hint = "was it written by a newer version?"
        raise InvalidInput(f"the status of {of} cannot be read", why=str(error), hint=hint) from error


def metadata_of(document: Mapping[str, Any]) -> Metadata:
    """Its metadata as the model has them, whether it is understood or not."""
    written = document.get("metadata") or {}
    labels = {name: value for name, value in (written.get("labels") or {}).items() if (name, value) != (MANAGED_BY, OURS)}
    annotations = dict(written.get("annotations") or {})
    identity = annotations.pop(IDENTITY, "")
    annotations.pop(acceptance.ACCEPTED, None)
    return Metadata(
        name=str(written.get("name") or ""),
        namespace=str(written.get("namespace") or ""),
        labels=labels,
        annotations=annotations,
        uid=identity or str(written.get("uid") or ""),
        resource_version=str(written.get("resourceVersion") or ""),
        generation=int(written.get("generation") or 0),
        creation_timestamp=str(written.get("creationTimestamp") or ""),
        deletion_timestamp=written.get("deletionTimestamp"),
        finalizers=tuple(written.get("finalizers") or ()),
        owner_references=tuple(
            OwnerReference(kind=owner["kind"], name=owner["name"], uid=owner["uid"])
            for owner in written.get("ownerReferences") or ()
        ),
    )


def changed(stored: Document, wanted: Resource, *, is_new_spec: bool, record: str) -> Document:
    """The stored document with the metadata, and a new spec, of what is wanted; a record replaces the one that it has."""
    document = document_of(wanted)
    metadata = dict(stored["metadata"])
    kept = {
        name: value for name, value in (metadata.get("annotations") or {}).items() if name in (IDENTITY, acceptance.ACCEPTED)
    }
    for field in ("labels", "annotations", "finalizers", "ownerReferences"):
        value = document["metadata"][field]
        if field == "annotations":
            value = {**value, **kept} | ({acceptance.ACCEPTED: record} if record else {})
        if field == "labels" and acceptance.class_change(stored) is not None:
            value = {**value, CLASS_LABEL: acceptance.labelled(stored)}
        if value or field in metadata:
            metadata[field] = value
    metadata = {name: value for name, value in metadata.items() if value not in ({}, [])}
    content: Document = {name: document[name] for name in ("spec", "data") if name in document} if is_new_spec else {}
    return {**stored, "metadata": metadata, **content}


def _owner_document(owner: OwnerReference) -> Document:
    version = WORDS[owner.kind].api_version if owner.kind in WORDS else "v1"
    return {"apiVersion": version, "kind": owner.kind, "name": owner.name, "uid": owner.uid}


def _text(name: str, value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidInput(f"the value {name!r} of a Secret is no text", why=type(error).__name__) from error
