"""The way of a GPU from its last owner to its next, as one table. There is no way back: every step is a step towards free.

    quiesce -> reset -> scrub -> verify -> restore -> record          then the reconciler deletes the claim: the GPU is free
        │        │        │         │         │
        └────────┴────────┴─────────┴─────────┴── Abort: quarantine, what is left of the cleaning is left out, the claim goes

The drivers go back here and not with the VM's undo of `bind`: between the last tenant's traces and the reset nobody but
vfio-pci may have the GPU, least of all the host's own driver, which would meet it dirty, and could hang on it. A stop feels no
slower for it, since the VM is Stopped as soon as it has let go of its claims.
"""

from __future__ import annotations

from collections.abc import Callable

from provisioner.lifecycle.gpu_claim.quiescing import quiesce
from provisioner.lifecycle.gpu_claim.recording import record_history
from provisioner.lifecycle.gpu_claim.resetting import reset_gpu
from provisioner.lifecycle.gpu_claim.restoring import restore_drivers
from provisioner.lifecycle.gpu_claim.scrubbing import scrub_budget_s, scrub_gpu
from provisioner.lifecycle.gpu_claim.verifying import verify_gpu
from provisioner.lifecycle.gpu_claim.view import GPUClaimView
from provisioner.lifecycle.steps import UNBOUNDED, Lifecycle, Step, nothing
from provisioner.lifecycle.verdicts import Done, Verdict

View = GPUClaimView

QUIESCE_S = 1800.0
"""The sweep that stops a domain without an owner sees it twice first, at the pace of the host's surveys."""
RESTORE_S = 120.0
LEFT_OUT = "left out: the GPU is in quarantine"


def _seconds(duration_s: float) -> Callable[[View], float]:
    return lambda _view: duration_s


def _unless_failed(do: Callable[[View], Verdict]) -> Callable[[View], Verdict]:
    """A GPU that is in quarantine for what an earlier step found is not cleaned any further."""
    return lambda view: Done(LEFT_OUT) if view.cleaning.failure else do(view)


GPU_CLAIM: Lifecycle[View] = Lifecycle(
    Step("quiesce", do=_unless_failed(quiesce), undo=nothing, within=_seconds(QUIESCE_S), sets="Quiesced"),
    Step("reset", do=_unless_failed(reset_gpu), undo=nothing, within=_seconds(300), sets="ResetDone"),
    Step("scrub", do=_unless_failed(scrub_gpu), undo=nothing, within=scrub_budget_s, sets="ScrubDone"),
    Step("verify", do=_unless_failed(verify_gpu), undo=nothing, within=_seconds(300), sets="VerifyDone"),
    # Also in quarantine: the claim is the only record of its drivers, and it is about to go.
    Step("restore", do=restore_drivers, undo=nothing, within=_seconds(RESTORE_S), sets="RestoreDone"),
    Step("record", do=record_history, undo=nothing, within=lambda _view: UNBOUNDED, sets="Recorded"),
)
