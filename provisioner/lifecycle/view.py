"""One resource during one pass: the copy that decisions are made on, and the only way to write its status.

A view lives for one pass. Its writes carry the version that was read; if somebody else wrote first, the store's Conflict ends
the pass and the next one starts from what is there.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from provisioner.lifecycle.ports import Ports
from provisioner.model.errors import Conflict, NotFound
from provisioner.model.metadata import Condition, Key, Resource, StepRecord, find_condition, set_condition
from provisioner.store.protocol import Event

R = TypeVar("R", bound=Resource)


class View(Generic[R]):
    """A resource and the ports, for the length of one pass."""

    def __init__(self, resource: R, ports: Ports) -> None:
        self.resource = resource
        self.ports = ports

    @property
    def key(self) -> Key:
        """The resource's name in the store."""
        return self.resource.key

    def record(self, step: str) -> StepRecord | None:
        """What is recorded about that step in this attempt, or None if it was not tried."""
        return next((record for record in self.resource.status.steps if record.name == step), None)

    def write(self, *conditions: Condition, **changes: Any) -> None:
        """Write status fields and conditions in one update; where nothing differs from what was read, nothing is written.

        Raises:
            Conflict: somebody else wrote first; end the pass.
            NotFound: the resource is gone; end the pass.
        """
        status = self.resource.status
        new = status.conditions
        for condition in conditions:
            new = set_condition(new, condition)
        changes["conditions"] = new
        changes.setdefault("observed_generation", self.resource.metadata.generation)
        if any(getattr(status, name) != value for name, value in changes.items()):
            self.resource = self.ports.store.update_status(self.resource.with_status(**changes))

    def condition(self, kind: str, status: Literal["True", "False", "Unknown"], reason: str, message: str = "") -> Condition:
        """A condition of this resource, stamped now."""
        return Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message[:2000],
            last_transition_time=self.ports.now(),
            observed_generation=self.resource.metadata.generation,
        )

    def holds(self, kind: str) -> bool:
        """Whether the condition is True."""
        found = find_condition(self.resource.status.conditions, kind)
        return found is not None and found.status == "True"

    def tell(self, reason: str, message: str, *, warning: bool = False) -> None:
        """Record an event about the resource."""
        self.ports.store.record(Event(self.key, "Warning" if warning else "Normal", reason, message[:1000]))

    def ensure_current(self) -> None:
        """The resource is still what this pass read: nobody else has acted for it since.

        Raises:
            Conflict: somebody else wrote; end the pass.
            NotFound: the resource is gone; end the pass.
        """
        mine = self.resource.metadata
        stored = self.ports.store.get(type(self.resource), mine.name, namespace=mine.namespace).metadata
        if (stored.uid, stored.resource_version) != (mine.uid, mine.resource_version):
            facts = {"key": str(self.key), "stored": stored.resource_version, "given": mine.resource_version}
            raise Conflict(f"{self.key} was changed by somebody else", context=facts)

    def is_stored(self) -> bool:
        """Whether the resource still exists."""
        mine = self.resource.metadata
        try:
            return self.ports.store.get(type(self.resource), mine.name, namespace=mine.namespace).metadata.uid == mine.uid
        except NotFound:
            return False

    def remove_finalizer(self, finalizer: str) -> None:
        """Let the store remove the object, if this was what held it."""
        left = tuple(name for name in self.resource.metadata.finalizers if name != finalizer)
        self.resource = self.ports.store.update(self.resource.with_metadata(finalizers=left))

    def ensure_finalizer(self, finalizer: str) -> None:
        """Hold the object back from removal until its traces are gone."""
        if finalizer not in self.resource.metadata.finalizers:
            finalizers = (*self.resource.metadata.finalizers, finalizer)
            self.resource = self.ports.store.update(self.resource.with_metadata(finalizers=finalizers))
