"""Bugs between two tenants of a GPU: reset, scrub, drivers, quarantine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provisioner.lifecycle import gpu_release
from provisioner.lifecycle.gpu_claim import reconciler, scrubbing
from provisioner.lifecycle.gpu_claim.table import GPU_CLAIM
from provisioner.lifecycle.gpu_claim.view import GPUClaimView
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.steps import Step
from provisioner.lifecycle.verdicts import Done, Verdict
from provisioner.lifecycle.virtual_machine import domain, reserve
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.examination import ScrubResult
from tests.simulation.bugs.planting import DoesNotFit, planted_as_value, planted_in, planted_in_step


@planted_in_step(GPU_CLAIM, "reset", found_by=("freed-gpus-are-clean", "gpus-are-reset-between-tenants"), scenario="quiet")
def reset_left_to_the_next(right: Callable[..., Verdict], view: GPUClaimView) -> Verdict:
    """No GPU is reset after its guest: whoever has it next will, it is thought."""
    view.note(reset="left to the next guest")
    return Done()


@planted_as_value(GPU_CLAIM, "steps", found_by=("freed-drivers-are-restored", "freed-gpus-are-clean"), scenario="quiet")
def restored_before_reset(right: tuple[Step[Any], ...]) -> tuple[Step[Any], ...]:
    """The drivers of a GPU go back before its reset: the host's own driver meets it with the traces of its last guest."""
    names = [step.name for step in right]
    if names.index("restore") < names.index("reset"):
        raise DoesNotFit(f"the steps are in the wrong order already: {names}")
    restore = right[names.index("restore")]
    return (right[0], restore, *(step for step in right[1:] if step is not restore))


@planted_in(reserve, "let_go", found_by=("freed-gpus-are-clean", "freed-drivers-are-restored"), scenario="quiet")
def released_before_reset(right: Callable[..., None], view: VirtualMachineView) -> None:
    """A VM that lets go of its GPUs deletes its claims: they are free at once, as they are."""
    for claim in view.claims():
        view.ports.store.delete(claim.key, uid=claim.metadata.uid)


@planted_in(reconciler, "quarantine", found_by=("freed-gpus-are-clean", "freed-drivers-are-restored"), scenario="cleaning")
def failed_cleaning_forgiven(
    right: Callable[..., bool], ports: Ports, *, host: str, address: str, reason: str, cause: str = "", accuser: str = ""
) -> bool:
    """A GPU that could not be cleaned is not quarantined: its claim ends, and it is free."""
    return False


@planted_in(domain, "note_given", found_by=("gpus-are-reset-between-tenants", "freed-gpus-are-clean"), scenario="crashes")
def given_noted_when_it_runs(right: Callable[..., None], view: VirtualMachineView) -> None:
    """That a guest has a GPU is noted only for a domain that runs already, and it is asked before the start."""
    if domain.is_running(view):
        right(view)


@planted_in(scrubbing, "_judged", found_by=("freed-gpus-are-clean",), scenario="cleaning")
def scrub_status_ignored(right: Callable[..., Verdict], view: GPUClaimView, command: str, result: ScrubResult) -> Verdict:
    """A scrub command that was run counts as done, whatever it says."""
    return right(view, command, result.model_copy(update={"exit_status": 0}))


@planted_in(
    gpu_release, "failed", found_by=("gpus-are-reset-between-tenants", "quarantine-is-lifted-by-a-check"), scenario="devices"
)
def released_on_request(right: Callable[..., object], lines: object) -> object:
    """Whoever asks for the release of a quarantined GPU gets it, whatever its check says."""
    return None
