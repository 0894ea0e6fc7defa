"""Bugs about writes, watches and wakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from provisioner.lifecycle import controller, steps
from provisioner.model.metadata import Resource
from provisioner.store import semantics
from provisioner.store.semantics import Shelf
from tests.simulation.bugs.planting import planted_as_value, planted_in

R = TypeVar("R", bound=Resource)


@planted_in(
    semantics,
    "_current",
    found_by=("transitions-are-dated", "claims-have-living-owners", "ready-is-claimed", "conditions-know-their-generation"),
    scenario="two-controllers",
)
def stale_version_accepted(right: Callable[[Shelf, R], R], shelf: Shelf, wanted: R) -> R:
    """A write that was based on an old version of an object is accepted, and what was written in between is lost."""
    stored = shelf.find(wanted.key)
    version = stored.metadata.resource_version if stored is not None else ""
    return right(shelf, wanted.with_metadata(resource_version=version))


@planted_as_value(
    controller,
    "RESYNC_S",
    found_by=("deleted-vms-leave-nothing", "machines-come-right", "stray-publications-get-home", "changes-are-taken-in"),
    scenario="stale",
)
def only_changes_are_looked_at(right: float) -> float:
    """Objects are listed once, and later looked at only when the store tells of a change; one that is lost is never made up."""
    return float("inf")


@planted_in(steps, "backoff_s", found_by=("nobody-writes-without-end", "time-moves"), scenario="calls")
def no_pause_after_trouble(
    right: Callable[..., float], failures: int, *, first_s: float = 0.0, ceiling_s: float = 0.0
) -> float:
    """A step that met trouble is tried again at once, as often as it likes."""
    return 0.0
