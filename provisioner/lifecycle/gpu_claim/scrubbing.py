"""Step `scrub`: the operator's command, run on the host for function 0, in the background since it may take minutes.

What is done is theirs to say (clearing the memory of the GPU, checking its firmware); we say when it is run, how long it may
take, and what its status means: 0 is clean, everything else is quarantine with the end of what it printed.
"""

from __future__ import annotations

from provisioner.lifecycle.background import Running
from provisioner.lifecycle.gpu_claim.resetting import NEVER_GIVEN
from provisioner.lifecycle.gpu_claim.view import GPUClaimView
from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.model.errors import HostTimeout, Unsupported
from provisioner.model.examination import ScrubResult
from provisioner.model.gpu_cleaning import TAIL_CHARACTERS, ScrubRecord

POLL_S = 1.0
MARGIN_S = 120.0
"""Of the step over the command's own limit: its connection, and a wait for its turn among other jobs."""


def scrub_gpu(view: GPUClaimView) -> Verdict:
    """The operator's command has ended well for it."""
    if view.cleaning.scrub:
        return Done(view.cleaning.scrub)
    spec = view.host.spec
    if not view.resource.was_given or not spec.scrub_command:
        return _noted(view, "no command is set for the host" if view.resource.was_given else NEVER_GIVEN)
    devices, address, command, limit_s = view.hypervisor.devices, view.address, spec.scrub_command, float(spec.scrub_timeout_s)
    try:
        outcome = view.ports.background.run(
            f"scrub {view.resource.metadata.name} ({view.resource.metadata.uid})",
            lambda _meter: devices.scrub(address, command=command, timeout_s=limit_s),
            waiter=view.key,
        )
    except Unsupported as error:
        return _impossible(view, str(error))
    except HostTimeout as error:
        view.hypervisor.devices.functions([address])  # a host that is away is no fault of the command
        view.note(scrub=f"did not end within {limit_s:.0f} s")
        return Abort("ScrubHangs", f"its scrub did not end within {limit_s:.0f} s: {error}")
    if isinstance(outcome, Running):
        return Retry(POLL_S, "Scrubbing", f"the scrub command runs, for at most {limit_s:.0f} s")
    return _judged(view, command, outcome.result)


def scrub_budget_s(view: GPUClaimView) -> float:
    """Seconds that the step may take."""
    return view.host.spec.scrub_timeout_s + MARGIN_S


def _judged(view: GPUClaimView, command: str, result: ScrubResult) -> Verdict:
    tail = result.output_tail[-TAIL_CHARACTERS:].strip()
    record = ScrubRecord(
        command=command.replace("{address}", view.address),
        exit_status=result.exit_status,
        output_tail=tail,
        duration_s=result.duration_s,
    )
    if result.exit_status:
        view.note(scrubbed=record, scrub=f"ended with status {result.exit_status}")
        return Abort("ScrubFailed", f"its scrub ended with status {result.exit_status}: {tail or 'it printed nothing'}")
    view.note(scrubbed=record, scrub=f"done in {result.duration_s:.0f} s")
    return Done(view.cleaning.scrub)


def _impossible(view: GPUClaimView, why: str) -> Verdict:
    sentence = f"not possible: {why}"
    if view.must_be_shown:
        view.note(scrub=sentence)
        return Abort("NotScrubbed", f"its scrub is {sentence}")
    return _noted(view, sentence)


def _noted(view: GPUClaimView, sentence: str) -> Done:
    view.note(scrub=sentence)
    return Done(sentence)
