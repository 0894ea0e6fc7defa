"""What was read of one machine's objects at about one moment, and the few ways in which Kubernetes objects are looked into.

The objects are raw JSON, and any of them may be absent. They are read one after the other, so they may be of slightly different
moments: whoever judges them says what is right for each, and the next look sees them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from templates.kubevirt import OWNER

Document = Mapping[str, Any]
FINAL_PHASES = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Sight:
    """One machine. `machine` is the VirtualMachine, `instance` the VirtualMachineInstance, `pod` its newest launcher."""

    machine: Document | None
    instance: Document | None = None
    pod: Document | None = None
    node: Document | None = None
    """Where the pod is bound; read only where it matters, and where we may."""
    is_node_gone: bool = False
    """The node was asked for, and there is none of that name."""
    events: tuple[Document, ...] = ()
    """Of the pod."""
    volume: Document | None = None
    """The DataVolume that its root disk is imported into."""
    permitted: tuple[str, ...] = ()
    """Resource names that machines may ask for; read only where one was refused."""

    @property
    def phase(self) -> str:
        """Of the instance; empty if there is none."""
        return str(status(self.instance).get("phase") or "")

    @property
    def is_final(self) -> bool:
        """Whether the instance has ended."""
        return self.phase in FINAL_PHASES

    @property
    def node_name(self) -> str:
        """Where the instance is bound; empty if it is not."""
        bound = (self.pod or {}).get("spec", {}).get("nodeName")
        return str(status(self.instance).get("nodeName") or bound or "") if self.instance else ""

    @property
    def run_strategy(self) -> str:
        """What the VirtualMachine asks for; `Halted` without one, or while it goes."""
        if self.machine is None or is_going(self.machine):
            return "Halted"
        spec = self.machine.get("spec") or {}
        return str(spec.get("runStrategy") or ("Always" if spec.get("running") else "Halted"))


def status(document: Document | None) -> Mapping[str, Any]:
    """Its status, or nothing."""
    return (document or {}).get("status") or {}


def metadata(document: Document | None) -> Mapping[str, Any]:
    """Its metadata, or nothing."""
    return (document or {}).get("metadata") or {}


def is_going(document: Document | None) -> bool:
    """Whether it is told to go."""
    return bool(metadata(document).get("deletionTimestamp"))


def owner_of(document: Document | None) -> str:
    """Our mark on it; empty if it is not ours."""
    return str((metadata(document).get("labels") or {}).get(OWNER, ""))


def condition(document: Document | None, kind: str) -> Mapping[str, Any]:
    """That condition of its status, or nothing."""
    return next((each for each in status(document).get("conditions") or () if each.get("type") == kind), {})


def holds(document: Document | None, kind: str) -> bool:
    """Whether that condition is True."""
    return condition(document, kind).get("status") == "True"


def fails(document: Document | None, kind: str) -> bool:
    """Whether that condition is there and False."""
    return condition(document, kind).get("status") == "False"


def newest(documents: Iterable[Document]) -> Document | None:
    """The one that was made last."""
    return max(documents, key=lambda each: str(metadata(each).get("creationTimestamp", "")), default=None)
