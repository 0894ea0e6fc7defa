"""Conditions of VirtualMachines and VirtualMachineInstances, as lists that are never changed in place."""

from __future__ import annotations

from collections.abc import Iterable

from tests.kubernetes.kubevirt.fields import Document, stamp

GUEST_NOT_RUNNING = ("GuestNotRunning", "Guest VM is not reported as running")
POD_TERMINATING = ("PodTerminating", "virt-launcher pod is terminating")
POD_NOT_EXISTS = ("PodNotExists", "virt-launcher pod has not yet been scheduled")
NO_INSTANCE = ("VMINotExists", "VMI does not exist")
NO_READY = ("VMIConditionMissing", "VMI is missing the Ready condition")
OWN_OF_MACHINE = frozenset({"Ready", "Failure", "RestartRequired"})
"""A VM has these of its own; the others are copies."""


def condition(kind: str, status: bool, reason: str = "", message: str = "", *, at: str | None = "") -> Document:
    """One condition; an empty reason and message are absent. A transition time of None is null, an empty one is now."""
    made: Document = {"type": kind, "status": str(status), "lastProbeTime": None}
    made["lastTransitionTime"] = stamp() if at == "" else at
    if reason:
        made["reason"] = reason
    if message:
        made["message"] = message
    return made


def find(conditions: Iterable[Document], kind: str) -> Document | None:
    return next((each for each in conditions if each["type"] == kind), None)


def has(conditions: Iterable[Document], kind: str, *, status: bool, reason: str | None = None) -> bool:
    """Whether this condition says so; without a reason, any will do."""
    found = find(conditions, kind)
    return found is not None and found["status"] == str(status) and (reason is None or found.get("reason", "") == reason)


def says(one: Document | None, other: Document | None) -> bool:
    """Whether both say the same, whenever they came to."""
    words = ("status", "reason", "message")
    return one is not None and other is not None and all(one.get(word) == other.get(word) for word in words)


def put(conditions: Iterable[Document], new: Document) -> list[Document]:
    """With this one; what says the same already keeps its time and its place."""
    before = list(conditions)
    old = find(before, new["type"])
    if old is None:
        return [*before, new]
    return [(old if says(old, new) else new) if each["type"] == new["type"] else each for each in before]


def without(conditions: Iterable[Document], kind: str) -> list[Document]:
    return [each for each in conditions if each["type"] != kind]
