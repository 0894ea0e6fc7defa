"""What a check is: a code that never changes its meaning, words for people, and a function that looks at one case.

A check answers None (nothing wrong), Found (what is wrong, with names and numbers) or Unknown (why it cannot be said). It looks
at the case that it is given and at nothing else.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from provisioner.model.examination import Finding, FunctionExamination, HostExamination
from provisioner.model.gpu_host import GpuFacts, GPUHost

HOST = "host"
"""The subject of findings that are about the host as a whole."""


class Severity(enum.StrEnum):
    """What a finding means for handing the GPU out."""

    ERROR = "error"
    """It is not handed out."""
    WARNING = "warning"
    """It is, with the risk that is named."""
    INFO = "info"
    """Good to know."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something is wrong."""

    message: str
    """One sentence without a trailing period, with names and numbers."""
    severity: Severity | None = None
    """Where it differs from what the check usually means."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It cannot be said."""

    why: str


Answer = Found | Unknown | None


@dataclass(frozen=True, slots=True)
class HostCase:
    """A host and everything that is known about it."""

    host: GPUHost
    examination: HostExamination
    owned: frozenset[str] = frozenset()
    """Addresses of GPUs that a claim owns: what QEMU does with them is in order."""
    committed_mib: int = 0
    """Memory of the guests that run there, overhead included."""
    guest_mib: int | None = None
    """Memory of the guest that is about to start; None if none is."""


@dataclass(frozen=True, slots=True)
class GpuCase:
    """One GPU of a host."""

    about: HostCase
    gpu: GpuFacts

    @property
    def is_owned(self) -> bool:
        """Whether a claim owns it."""
        return self.gpu.address in self.about.owned

    @property
    def function(self) -> FunctionExamination | None:
        """Function 0 from inside; None if it is not there, or nobody could look."""
        return self.about.examination.function(self.gpu.address)

    @property
    def group(self) -> tuple[FunctionExamination, ...]:
        """Every member of its IOMMU group as seen from inside, bridges and itself included, by address."""
        own = self.function
        addresses = {self.gpu.address, *(own.group_members if own else ())}
        return tuple(function for function in self.about.examination.functions if function.address in addresses)

    @property
    def endpoints(self) -> tuple[FunctionExamination, ...]:
        """The members that would be passed: the GPU and its companions."""
        return tuple(function for function in self.group if not function.is_bridge)


C = TypeVar("C", HostCase, GpuCase)


@dataclass(frozen=True, slots=True)
class Check(Generic[C]):
    """One line of the table."""

    code: str
    title: str
    """What is checked, as a noun: `IOMMU`, `link width`."""
    severity: Severity
    meaning: str
    """What it means for whoever finds it."""
    advice: str
    """What to do, in one sentence; the page of the code says it at length."""
    look: Callable[[C], Answer] | None = None
    """None for what only whoever tried to look can tell."""
    needs_inside: bool = True
    """Whether it can be said only of a host that was looked at from inside."""
    is_passing: bool = False
    """Whether it may go away by itself, so that waiting a little is worth while."""
    is_placed_apart: bool = False
    """Whether placement has a finer rule of its own for it, which knows what each VM needs; it then blocks no GPU by itself."""

    def finding(self, found: Found, *, subject: str) -> Finding:
        """The finding about that subject."""
        severity = found.severity or self.severity
        return Finding(code=self.code, severity=severity.value, subject=subject, message=found.message[:1000])
