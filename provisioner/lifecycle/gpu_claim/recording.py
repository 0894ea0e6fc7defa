"""Step `record`: the claim's entry in the history of its card. Once per claim, known by the claim's uid."""

from __future__ import annotations

from provisioner.lifecycle.gpu_claim.view import GPUClaimView
from provisioner.lifecycle.verdicts import Done, Verdict
from provisioner.model.errors import NotFound
from provisioner.model.examination import GpuIdentity
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_history import GPUHistory, GPUHistoryEntry, GPUHistorySpec, Outcome, history_name
from provisioner.model.metadata import Metadata


def record_history(view: GPUClaimView) -> Verdict:
    """The history of the card tells of this claim. A claim that came to nothing (no function was touched) leaves no entry."""
    if not view.resource.status.functions:
        return Done("nothing to tell")
    reason = view.cleaning.failure or quarantined_for(view)
    write_entry(view, outcome=Outcome.QUARANTINED if reason else Outcome.FREE, reason=reason)
    return Done(reason or "clean")


def write_entry(view: GPUClaimView, *, outcome: Outcome, reason: str) -> None:
    """Append the entry, if there is none of this claim. Raises Conflict: somebody else wrote first."""
    history = _history(view)
    changed = history.with_entry(_entry(view, outcome=outcome, reason=reason))
    if changed is not history:
        view.ports.store.update_status(changed)


def _history(view: GPUClaimView) -> GPUHistory:
    claim, store = view.resource, view.ports.store
    identity = _identity(claim)
    name = history_name(identity, host=claim.spec.host, address=claim.spec.address)
    try:
        return store.get(GPUHistory, name)
    except NotFound:
        return store.create(GPUHistory(metadata=Metadata(name=name), spec=GPUHistorySpec(identity=identity)))


def _identity(claim: GPUClaim) -> GpuIdentity:
    """As recorded; of a claim of an older version, what its function 0 says."""
    if claim.status.identity is not None:
        return claim.status.identity
    own = next((known for known in claim.status.functions if known.address == claim.spec.address), claim.status.functions[0])
    return GpuIdentity(vendor=own.vendor, device=own.device)


def _entry(view: GPUClaimView, *, outcome: Outcome, reason: str) -> GPUHistoryEntry:
    claim = view.resource
    return GPUHistoryEntry(
        claim_uid=claim.metadata.uid,
        owner=claim.spec.owner,
        host=claim.spec.host,
        address=claim.spec.address,
        since=claim.status.bound_at,
        given=claim.status.given_at,
        until=claim.status.released_at,
        ended=view.ports.now(),
        guest=claim.status.guest,
        cleaning=claim.status.cleaning,
        outcome=outcome,
        reason=reason,
    )


def quarantined_for(view: GPUClaimView) -> str:
    """Why the GPU is in quarantine, if somebody else put it there while the claim lived."""
    entries = (entry for entry in view.host.status.quarantined if entry.address == view.address)
    return next((entry.reason for entry in entries), "")
