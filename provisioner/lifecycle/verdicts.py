"""What a step answers. Expected outcomes are values; exceptions are for what the edges could not do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Done:
    """It holds now."""

    message: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """It does not hold yet; look again after `after_s` seconds."""

    after_s: float
    reason: str
    message: str
    is_trouble: bool = False
    """Something failed, as against something that merely takes its time: the pauses grow, and an event tells of it."""
    is_patient: bool = False
    """It waits for a host that is away, or for somebody's decision: the step's time does not run."""


@dataclass(frozen=True, slots=True)
class Abort:
    """It cannot hold in this attempt: undo what was done. `is_final` says that another attempt would end the same way."""

    reason: str
    message: str
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Stuck:
    """Undoing did not work in its time; `left` names what is still there. It is tried again, slowly."""

    left: tuple[str, ...]
    message: str


Verdict = Done | Retry | Abort | Stuck
