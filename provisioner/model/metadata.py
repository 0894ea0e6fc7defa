"""The parts that every resource shares: metadata, owner references, conditions, keys.

Objects look like Kubernetes objects, so that people and tools know their shape. A resource is a value: change it with
`model_copy(update=...)` and hand it to the store; nothing here is edited in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

APPS = "apps.cozystack.io/v1alpha1"
HIKUBE = "hikube.cloud/v1alpha1"


class Part(BaseModel):
    """Base of every piece of a resource: frozen, camelCase in documents, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,  # what does not fit may be a key or a password; where it stands says enough
    )

    def as_json(self, *, only: set[str] | None = None) -> dict[str, Any]:
        """The part as a document writes it: camelCase, empty optional fields left out. With `only`, those fields of it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, include=only)

    def __copy__(self) -> Self:
        """As pydantic's, without private attributes and extra fields, which no part has: every write copies several parts."""
        copied = type(self).__new__(type(self))
        object.__setattr__(copied, "__dict__", self.__dict__.copy())
        object.__setattr__(copied, "__pydantic_extra__", None)
        object.__setattr__(copied, "__pydantic_fields_set__", self.__pydantic_fields_set__.copy())
        object.__setattr__(copied, "__pydantic_private__", None)
        return copied


class OwnerReference(Part):
    """Names the object whose deletion takes this one along."""

    kind: str
    name: str
    uid: str


class Metadata(Part):
    """Identity and bookkeeping; `uid`, `resource_version`, `generation` and the timestamps are the store's to set."""

    name: str
    namespace: str = ""
    """Empty for cluster-scoped kinds."""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    uid: str = ""
    resource_version: str = ""
    """Opaque: compare for equality only, except inside the store that gave it."""
    generation: int = 0
    """Counts changes of spec, not of status."""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class Condition(Part):
    """One statement about an object: (type, status, reason, message), and since when."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    """One CamelCase word, stable, for programs."""
    message: str = ""
    last_transition_time: str = ""
    """When `status` last changed; kept by `set_condition`."""
    observed_generation: int = 0


def set_condition(conditions: tuple[Condition, ...], new: Condition) -> tuple[Condition, ...]:
    """Replace the condition of the same type, keeping its transition time if the status is the same, and the order."""
    old = find_condition(conditions, new.type)
    if old is None:
        return (*conditions, new)
    if old.status == new.status:
        new = new.model_copy(update={"last_transition_time": old.last_transition_time})
    return tuple(new if known is old else known for known in conditions) if new != old else conditions


def find_condition(conditions: Iterable[Condition], condition_type: str) -> Condition | None:
    """The condition of that type, or None."""
    for condition in conditions:
        if condition.type == condition_type:
            return condition
    return None


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What names one object: kind, namespace (empty for cluster-scoped kinds), name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class StepRecord(Part):
    """How far one step of a lifecycle table got in the present attempt."""

    name: str
    started: str
    """When it was first attempted; its deadline counts from here."""
    finished: str = ""
    attempts: int = 0


class Status(Part):
    """Base of every status: what was observed, never what is wanted."""

    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()
    steps: tuple[StepRecord, ...] = ()


class Resource(Part):
    """Base of every kind. Subclasses narrow `spec` and `status` and set the class attributes."""

    KIND: ClassVar[str]
    API_VERSION: ClassVar[str]
    NAMESPACED: ClassVar[bool] = True
    PLURAL: ClassVar[str]
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ()

    api_version: str
    kind: str
    metadata: Metadata
    spec: Any
    status: Any

    @property
    def key(self) -> Key:
        """This object's name in the store."""
        return Key(self.kind, self.metadata.namespace, self.metadata.name)

    @property
    def is_being_deleted(self) -> bool:
        """Whether deletion was asked for and finalizers hold it back."""
        return self.metadata.deletion_timestamp is not None

    def with_metadata(self, **changes: Any) -> Self:
        """A copy with some metadata fields changed."""
        return self.model_copy(update={"metadata": self.metadata.model_copy(update=changes)})

    def with_status(self, **changes: Any) -> Self:
        """A copy with some status fields changed."""
        return self.model_copy(update={"status": self.status.model_copy(update=changes)})

    def owner_reference(self) -> OwnerReference:
        """A reference to this object, for the objects that shall go when it goes."""
        return OwnerReference(kind=self.kind, name=self.metadata.name, uid=self.metadata.uid)


def matches(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether every wanted label is present with that value."""
    return all(labels.get(name) == value for name, value in wanted.items())
