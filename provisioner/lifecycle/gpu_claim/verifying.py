"""Step `verify`: the card that was given out is the card that came back, alive, and without fatal errors.

Looked at from inside the host after reset and scrub. What is found to be wrong is quarantine whatever the policy; what cannot
be looked at is quarantine where the policy asks that it be shown, and a note in the history elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.lifecycle.gpu_claim.resetting import NEVER_GIVEN
from provisioner.lifecycle.gpu_claim.view import GPUClaimView
from provisioner.lifecycle.verdicts import Abort, Done, Verdict
from provisioner.model.examination import AerCounts, FunctionExamination, HostExamination

EXAMINE_TIMEOUT_S = 60.0


def verify_gpu(view: GPUClaimView) -> Verdict:
    """It is fit for the next tenant."""
    if view.cleaning.verification:
        return Done(view.cleaning.verification)
    if not view.resource.was_given:
        return _noted(view, NEVER_GIVEN)
    examination = view.hypervisor.inventory.examine(view.addresses, timeout_s=EXAMINE_TIMEOUT_S)
    if not examination.is_known:
        return _unknown(view, examination.why_not or "the host cannot be examined")
    view.note(aer=_aer_since_bind(view, examination))
    problems = list(_problems(view, examination))
    if problems:
        view.note(verification=f"failed: {'; '.join(problems)}")
        return Abort("NotFit", "; ".join(problems))
    card = examination.function(view.address)
    if card is None or card.config_alive is None:
        return _unknown(view, "its config space could not be read")
    return _noted(view, "config space alive, identity as recorded, no new fatal errors")


def _problems(view: GPUClaimView, examination: HostExamination) -> Iterator[str]:
    for address in view.addresses:
        found = examination.function(address)
        if found is None:
            yield f"{address} is not there any more"
        elif found.config_alive is False:
            yield f"{address} does not answer: its config space reads as all ones"
    card = examination.function(view.address)
    if card is None:
        return
    before = view.resource.status.identity
    if before is not None and card.config_alive is not False and not before.agrees_with(card.identity):
        yield f"another card is in its place: {card.identity.name}, and it was {before.name}"
    if view.cleaning.aer is not None and view.cleaning.aer.fatal:
        yield f"{view.cleaning.aer.fatal} fatal PCIe errors since it was bound"
    if view.must_be_shown and _has_lost_its_reset(view, card):
        yield "it has no reset method any more"


def _has_lost_its_reset(view: GPUClaimView, card: FunctionExamination) -> bool:
    facts = next((gpu for gpu in view.host.status.gpus if gpu.address == view.address), None)
    had_one = bool(view.cleaning.reset_method) or bool(facts and facts.reset_methods)
    return had_one and not card.reset_methods


def _aer_since_bind(view: GPUClaimView, examination: HostExamination) -> AerCounts | None:
    """What was counted since; the counters begin anew when the host is booted."""
    card = examination.function(view.address)
    before = next((known.aer for known in view.resource.status.functions if known.address == view.address), None)
    if card is None or card.aer is None:
        return None
    if before is None or examination.boot_id != view.resource.status.host_boot_id:
        before = AerCounts() if before is not None else card.aer
    names = AerCounts.model_fields
    return AerCounts(**{name: max(0, getattr(card.aer, name) - getattr(before, name)) for name in names})


def _unknown(view: GPUClaimView, why: str) -> Verdict:
    if view.must_be_shown:
        view.note(verification=f"cannot be verified: {why}")
        return Abort("CannotBeVerified", f"it cannot be verified: {why}")
    return _noted(view, f"not verified: {why}")


def _noted(view: GPUClaimView, sentence: str) -> Done:
    view.note(verification=sentence)
    return Done(sentence)
