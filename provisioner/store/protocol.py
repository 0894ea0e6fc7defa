"""The seam to whatever keeps resources: nine methods, the semantics of a Kubernetes API server.

Every implementation passes tests/contract/test_store*.py. Objects go in and come out as model resources. Writes are optimistic:
an update carries the resource version that it was based on and is refused if another write came first. `update` changes spec
and metadata and never status; `update_status` changes status alone. A read never blocks a write.

Importing this module must stay cheap (no pydantic): commands that only list do without the model.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from provisioner.model.metadata import Key, Resource

R = TypeVar("R", bound="Resource")


class ChangeType(enum.StrEnum):
    """What happened to an object."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the history: the object as it was after the change (its last state, for DELETED).

    `version` is a number, one more than that of the change before, as this process sees them. The values of a Secret are left
    out; its keys are there.
    """

    type: ChangeType
    resource: Resource
    version: str


@dataclass(frozen=True, slots=True)
class Listing(Generic[R]):
    """A consistent list and the version to watch on from."""

    items: tuple[R, ...]
    version: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling that happened to an object; equal ones (same key, reason, message) are counted, not repeated."""

    about: Key
    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    count: int = 1
    first_timestamp: str = ""
    last_timestamp: str = ""


class Store(Protocol):
    """Desired state, status and events of every resource."""

    def get(self, kind: type[R], name: str, *, namespace: str = "") -> R:
        """Read one object.

        Raises:
            NotFound: it does not exist.
        """
        ...

    def list(self, kind: type[R], *, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Listing[R]:
        """Read all objects of a kind, in order of namespace and name; `namespace=None` means all of them."""
        ...

    def create(self, resource: R, *, keeps_identity: bool = False) -> R:
        """Store a new object; sets uid, resource version, generation 1 and the creation time.

        Atomic over all processes: of two creations of one name exactly one succeeds. Status is stored as given. With
        `keeps_identity` a uid and a creation time that it has already stay: what exists outside bears them (a domain whose
        store was lost).

        Raises:
            AlreadyExists: the name is taken.
        """
        ...

    def update(self, resource: R) -> R:
        """Replace spec and metadata (labels, annotations, finalizers, owners); the generation grows if the spec differs.

        An object that is being deleted and has lost its last finalizer is removed, and its last state returned. Equal content
        changes nothing. What the store sets (uid, times, generation) is taken from the store, whatever is handed in.

        Raises:
            NotFound: it does not exist (or its uid differs; an empty uid differs from none).
            Conflict: the resource version is not the stored one.
        """
        ...

    def update_status(self, resource: R) -> R:
        """Replace the status alone. Raises as `update`. Equal content changes nothing."""
        ...

    def delete(self, key: Key, *, uid: str = "", version: str = "") -> None:
        """Ask for deletion: removed at once without finalizers, else `deletion_timestamp` is set. Repeating it is harmless.

        Objects that name the removed one as an owner are deleted too (the same way), when it is removed, not when it is marked.

        Raises:
            NotFound: it does not exist, or `uid` is given and differs.
            Conflict: `version` is given, and is not the stored resource version.
        """
        ...

    def watch(self, since: str, *, timeout_s: float) -> tuple[Change, ...]:
        """Changes of all kinds after version `since` of this process, in order, also those of other processes.

        Returns as soon as there is one, and an empty tuple after `timeout_s`. At most 1,000 changes a call.

        Raises:
            Conflict: `since` is older than the history kept, or no version that this store gave; list again.
        """
        ...

    def record(self, event: Event) -> None:
        """Count an event; `count` and times of the argument are ignored. The oldest of an object's events go after 100.

        Events outlive their object: the last 1,000 of all removed objects are kept. Recording is no change to watch for.
        """
        ...

    def events(self, about: Key | None = None, *, namespace: str | None = None) -> tuple[Event, ...]:
        """Events in order of their last time; of one object, or of a namespace, or all."""
        ...
