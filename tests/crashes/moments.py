"""Every moment at which the controller dies: from the production tables themselves, so that a step added there is one here.

    after:STEP     a step of the VM's table has finished, on the way up
    undone:STEP    a step of it has been undone, on the way down
    home:STEP      a step of its GPU's way home has finished

A moment is told by whoever dies (`Death`), after the effect and after the record of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from provisioner.lifecycle.gpu_claim.table import GPU_CLAIM
from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.metadata import Key

Direction = Literal["after", "undone", "home"]


@dataclass(frozen=True, slots=True)
class Moment:
    """One of them."""

    direction: Direction
    step: str

    def __str__(self) -> str:
        return f"{self.direction}:{self.step}"


FORWARDS = tuple(Moment("after", step.name) for step in VIRTUAL_MACHINE.steps)
BACKWARDS = tuple(Moment("undone", step.name) for step in reversed(VIRTUAL_MACHINE.steps))
HOMEWARDS = tuple(Moment("home", step.name) for step in GPU_CLAIM.steps)
MATRIX = (*FORWARDS, *BACKWARDS, *HOMEWARDS)
NEVER = "never"


def moment_of(text: str) -> Moment | None:
    """The moment of the matrix that is written so; None for NEVER."""
    return None if text == NEVER else next(moment for moment in MATRIX if str(moment) == text)


class Death:
    """Observes the VM of that name and the claims of its GPUs, and dies at the moment."""

    def __init__(self, name: str, moment: Moment | None, *, die: Callable[[], None], say: Callable[[str], None]) -> None:
        self._name = name
        self._moment = moment
        self._die = die
        self._say = say

    def step_started(self, key: Key, step: str) -> None:
        """Nothing."""

    def step_waiting(self, key: Key, step: str, message: str) -> None:
        """Nothing."""

    def step_finished(self, key: Key, step: str, duration_s: float, message: str) -> None:
        """Die here?"""
        if key.name == self._name or key.kind == GPUClaim.KIND:
            self._say(f"{step} {duration_s:.1f}s {message}")
            self._perhaps(Moment("home" if key.kind == GPUClaim.KIND else "after", step))

    def step_undone(self, key: Key, step: str) -> None:
        """Die here?"""
        if key.name == self._name:
            self._say(f"undone {step}")
            self._perhaps(Moment("undone", step))

    def failed(self, key: Key, step: str, message: str) -> None:
        """Say it."""
        self._say(f"FAILED {key} {step}: {message}")

    def _perhaps(self, moment: Moment) -> None:
        if moment == self._moment:
            self._die()
