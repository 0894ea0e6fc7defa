"""`status.printableStatus` of a VM: a table, of which the first row that holds wins. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.kubernetes.kubevirt import conditions
from tests.kubernetes.kubevirt.fields import Document, at, is_deleting, items

FINAL = frozenset({"Succeeded", "Failed"})
STARTING = frozenset({"", "Pending", "Scheduling", "Scheduled"})
RETRIES = frozenset({"Always", "RerunOnFailure", "Once"})


@dataclass(frozen=True, slots=True)
class Seen:
    """What the VM controller has before it when it writes a status.

    `start_expected` and `stop_expected` say that it has just created or deleted the instance and has not seen that yet.
    """

    machine: Document
    instance: Document | None = None
    run_strategy: str = "Always"
    start_expected: bool = False
    stop_expected: bool = False
    start_failure: bool = False

    @property
    def phase(self) -> str | None:
        return None if self.instance is None else at(self.instance, "status", "phase", default="")

    @property
    def is_final(self) -> bool:
        return self.phase in FINAL

    def says(self, kind: str, status: bool, reason: str | None = None) -> bool:
        """Whether the instance has this condition."""
        return conditions.has(items(self.instance, "status", "conditions"), kind, status=status, reason=reason)


Row = tuple[str, Callable[[Seen], bool]]

ROWS: tuple[Row, ...] = (
    ("Terminating", lambda seen: is_deleting(seen.machine)),
    (
        "Stopping",
        lambda seen: seen.instance is not None and not seen.is_final and (is_deleting(seen.instance) or seen.stop_expected),
    ),
    ("Paused", lambda seen: seen.phase == "Running" and seen.says("Paused", True)),
    ("Running", lambda seen: seen.phase == "Running"),
    ("ErrorPvcNotFound", lambda seen: seen.says("Synchronized", False, "FailedPvcNotFound")),
    ("ErrorUnschedulable", lambda seen: seen.says("PodScheduled", False, "Unschedulable")),
    ("ErrImagePull", lambda seen: seen.says("Synchronized", False, "ErrImagePull")),
    ("ImagePullBackOff", lambda seen: seen.says("Synchronized", False, "ImagePullBackOff")),
    ("Starting", lambda seen: seen.start_expected if seen.phase is None else seen.phase in STARTING),
    (
        "CrashLoopBackOff",
        lambda seen: (
            (seen.phase is None or seen.is_final)
            and not seen.start_expected
            and seen.start_failure
            and seen.run_strategy in RETRIES
        ),
    ),
    ("Stopped", lambda seen: seen.is_final or (seen.phase is None and not seen.start_expected)),
)
"""Rows 3, 7, 9, 10 and 16 of the observed table need what does not exist here: migrations, DataVolumes, receivers."""


def printable_status(seen: Seen) -> str:
    """One word for people."""
    return next((word for word, holds in ROWS if holds(seen)), "Unknown")
