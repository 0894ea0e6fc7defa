"""Bugs about what the status of a VM says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provisioner.lifecycle.steps import Lifecycle, Step
from provisioner.lifecycle.verdicts import Done, Verdict
from provisioner.lifecycle.virtual_machine.passes import CHECK_S, Passes
from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from tests.simulation.bugs.planting import planted_in, planted_in_step


@planted_in_step(VIRTUAL_MACHINE, "verify", found_by=("proof-is-true",), scenario="guests")
def ready_before_the_report(right: Callable[..., Verdict], view: VirtualMachineView) -> Verdict:
    """A VM is Ready as soon as its guest answers; what the guest reports is not looked at."""
    return Done()


@planted_in(Lifecycle, "_disclaim", found_by=("machines-come-right", "proof-is-true"), scenario="guests")
def conditions_outlive_the_attempt(
    right: Callable[..., None], self: Lifecycle[Any], undone: list[Step[Any]], view: Any
) -> None:
    """Before an attempt is undone it is not written down that its steps hold no more, so the next one believes them."""


@planted_in(Passes, "_watch_over", found_by=("ready-runs",), scenario="guests")
def ready_for_ever(right: Callable[..., float | None], self: Passes, view: VirtualMachineView) -> float | None:
    """Nobody looks at the domain of a VM that is Ready."""
    return CHECK_S
