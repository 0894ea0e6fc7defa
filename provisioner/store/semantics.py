"""What each write means, written once for every store that keeps its objects itself.

A store lends a Shelf for the length of one transaction, and these functions decide what goes on it. They read no clock, keep no
state and touch nothing but the shelf, so a store is right if its shelf is right and its transactions are atomic.

    create ──> ADDED ──> update, update_status: MODIFIED ──> delete ──> DELETED
                                                               │           ↑
                                                   finalizers  └─> marked ─┘ an update takes the last finalizer away

Invariants: every change has a version of its own, one more than the change before; an object that is being deleted has a
finalizer; removing an object asks for the deletion of everything that names it as an owner.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from provisioner.model.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from provisioner.model.redaction import without_private_keys
from provisioner.store.protocol import ChangeType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provisioner.model.metadata import Key, Part, Resource
    from provisioner.store.protocol import Event

R = TypeVar("R", bound="Resource")

HISTORY_KEPT = 100_000
"""Changes that can be watched from; a few hundred bytes each, so some tens of megabytes at most."""
CHANGES_PER_CALL = 1_000
EVENTS_PER_OBJECT = 100
EVENTS_OF_REMOVED = 1_000
"""Events that outlive their objects, over all objects."""


class Shelf(Protocol):
    """The objects, inside one transaction."""

    def find(self, key: Key) -> Resource | None:
        """The object of that name, or None."""
        ...

    def dependents(self, uid: str) -> Sequence[Resource]:
        """Objects that name `uid` as an owner, in order of kind, namespace and name."""
        ...

    def write(self, change: ChangeType, resource: R) -> R:
        """Give the object the next version, put it in its place (or take it away, for DELETED), and note it in the history."""
        ...


def create(shelf: Shelf, resource: R, *, uid: str, now: str, keeps_identity: bool) -> R:
    """As Store.create."""
    if shelf.find(resource.key) is not None:
        raise taken(resource.key)
    if keeps_identity:
        uid, now = resource.metadata.uid or uid, resource.metadata.creation_timestamp or now
    identity = {"uid": uid, "generation": 1, "creation_timestamp": now, "deletion_timestamp": None}
    return shelf.write(ChangeType.ADDED, resource.with_metadata(**identity))


def update(shelf: Shelf, wanted: R, *, now: str) -> R:
    """As Store.update."""
    stored = _current(shelf, wanted)
    new = wanted.metadata
    changed = stored.with_metadata(
        labels=new.labels,
        annotations=new.annotations,
        finalizers=new.finalizers,
        owner_references=new.owner_references,
        generation=stored.metadata.generation + (wanted.spec != stored.spec),
    ).model_copy(update={"spec": wanted.spec})
    if changed == stored:
        return stored
    if changed.is_being_deleted and not changed.metadata.finalizers:
        removed = shelf.write(ChangeType.DELETED, changed)
        _delete_all(shelf, shelf.dependents(removed.metadata.uid), now=now)
        return removed
    return shelf.write(ChangeType.MODIFIED, changed)


def update_status(shelf: Shelf, wanted: R) -> R:
    """As Store.update_status."""
    stored = _current(shelf, wanted)
    if wanted.status == stored.status:
        return stored
    return shelf.write(ChangeType.MODIFIED, stored.model_copy(update={"status": wanted.status}))


def delete(shelf: Shelf, key: Key, *, uid: str, version: str, now: str) -> None:
    """As Store.delete."""
    stored = shelf.find(key)
    if stored is None or uid not in ("", stored.metadata.uid):
        raise missing(key)
    if version not in ("", stored.metadata.resource_version):
        raise overtaken(key, stored=stored.metadata.resource_version, given=version)
    _delete_all(shelf, [stored], now=now)


def taken(key: Key) -> AlreadyExists:
    """The error for a name that is taken."""
    return AlreadyExists(f"{key} exists already", context={"key": str(key)})


def missing(key: Key) -> NotFound:
    """The error for an object that is not there."""
    return NotFound(f"{key} does not exist", context={"key": str(key)})


def overtaken(key: Key, *, stored: str, given: str) -> Conflict:
    """The error for whoever acts on one version of an object, where another is stored by now."""
    facts = {"key": str(key), "stored": stored, "given": given}
    return Conflict(f"{key} was changed by somebody else", hint="read it again and decide again", context=facts)


def shown(resource: R) -> R:
    """The object as the history keeps it: private values of a Secret are empty there, its keys stay."""
    if resource.kind != "Secret":
        return resource
    hidden = dict.fromkeys(resource.spec.data, "")
    return resource.model_copy(update={"spec": resource.spec.model_copy(update={"data": hidden})})


def told(event: Event) -> Event:
    """The event as it is kept: whatever an error repeated, no private key gets into it."""
    return replace(event, message=without_private_keys(event.message))


def text_of(part: Part, *, only: set[str] | None = None) -> str:
    """A resource or a part of one as JSON text; with `only`, those fields of it.

    Raises:
        InvalidInput: it holds what JSON cannot (NaN) or what is no text (half of a surrogate pair).
    """
    try:
        fields = part.as_json(only=only)
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except ValueError as error:
        raise InvalidInput("the object cannot be stored", why=str(error)) from error
    return text


def parse_version(since: str) -> int:
    """The number behind a version.

    Raises:
        Conflict: no store of ours gave it.
    """
    if since.isdecimal() and since.isascii():
        return int(since)
    raise too_old(since)


def too_old(since: str) -> Conflict:
    """The error for a version that cannot be watched from."""
    hint = "list the objects again and watch from the version of that list"
    return Conflict(f"the changes after version {since!r} are not kept", hint=hint, context={"since": since})


def _current(shelf: Shelf, wanted: R) -> R:
    stored = shelf.find(wanted.key)
    if stored is None or wanted.metadata.uid not in ("", stored.metadata.uid):
        raise missing(wanted.key)
    if wanted.metadata.resource_version != stored.metadata.resource_version:
        raise overtaken(wanted.key, stored=stored.metadata.resource_version, given=wanted.metadata.resource_version)
    return cast("R", stored)


def _delete_all(shelf: Shelf, resources: Sequence[Resource], *, now: str) -> None:
    """Delete these and what they own. Ends because an object is removed once, however its owners point at each other."""
    waiting = deque(resources)
    while waiting:
        resource = shelf.find(waiting.popleft().key)
        if resource is None:
            continue
        if not resource.metadata.finalizers:
            removed = shelf.write(ChangeType.DELETED, resource)
            waiting.extend(shelf.dependents(removed.metadata.uid))
        elif not resource.is_being_deleted:
            shelf.write(ChangeType.MODIFIED, resource.with_metadata(deletion_timestamp=now))
