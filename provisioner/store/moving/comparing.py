"""Whether an object in one store says the same as one in another, and what it has to be there to say so. Pure.

Two stores count generations for themselves, so numbers of generations differ. What counts is whether a status speaks of the
present spec, of an older one, or of none; it is carried over as the present number, a negative one, or 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from provisioner.model.metadata import Resource

R = TypeVar("R", bound=Resource)

GENERATIONS = frozenset({"observedGeneration", "recordedGeneration"})
NOT_CARRIED = frozenset({"Accepted"})
"""Conditions that a store writes itself."""

Facts = dict[str, Any]


def for_generation(resource: R, generation: int) -> R:
    """The object with a status as it is where its spec has that generation."""
    present = resource.metadata.generation

    def number(value: int) -> int:
        if value in (0, present):
            return generation if value else 0
        return -abs(present - value)

    status = _mapped(_status(resource), number)
    return resource.model_copy(update={"status": type(resource.status).model_validate(status)})


def facts_of(resource: Resource) -> Facts:
    """What must be equal, by the name of the field."""
    metadata, present = resource.metadata, resource.metadata.generation
    return {
        "uid": metadata.uid,
        "labels": metadata.labels,
        "annotations": metadata.annotations,
        "finalizers": sorted(metadata.finalizers),
        "owners": sorted((owner.kind, owner.name, owner.uid) for owner in metadata.owner_references),
        "deletion": resource.is_being_deleted,
        "spec": resource.as_json(only={"spec"}).get("spec"),
        "status": _mapped(_status(resource), lambda value: 0 if value == 0 else 1 + (value == present)),
    }


def differences(wanted: Resource, found: Resource) -> list[str]:
    """Names of the fields in which they are not the same."""
    theirs = facts_of(found)
    return [name for name, value in facts_of(wanted).items() if theirs[name] != value]


def _status(resource: Resource) -> Facts:
    status: Facts = resource.as_json(only={"status"}).get("status") or {}
    if "conditions" in status:
        status["conditions"] = [each for each in status["conditions"] if each["type"] not in NOT_CARRIED]
    return status


def _mapped(value: Any, number: Callable[[int], int]) -> Any:
    """The data with every number of a generation replaced."""
    if isinstance(value, dict):
        return {name: number(each) if name in GENERATIONS else _mapped(each, number) for name, each in value.items()}
    return [_mapped(each, number) for each in value] if isinstance(value, list) else value
