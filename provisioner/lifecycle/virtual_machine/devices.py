"""Step `bind`: every function of the claimed GPUs' groups on vfio-pci, all of them or none, as one transaction.

    look ──> preflight ──> record all ──> same cards? ──> take one by one ──> all there? ──> bound
                                              │                │
                     quarantine, give up <────┴── give back in reverse what was taken <──┘ any failure

What a function was before is written into the claim before the first driver is touched, so that a crash in the middle leaves
a record of how to go home. A failure leaves no group half bound: a GPU that no guest had yet is given back at once, one that
a guest had (a restart) stays on vfio-pci until its claim's table has reset it. A driver that does not let go takes its GPU
into quarantine and ends the attempt; the next one gets another GPU. Nothing is touched under a running domain.

Undoing the VM does not give drivers back: the claim does, after the reset (lifecycle/gpu_claim/table.py says why).
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.lifecycle.gpu_claim.functions import VFIO, give_back_all, on_other_drivers, take
from provisioner.lifecycle.quarantine import note_missing, quarantine
from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.lifecycle.virtual_machine.domain import is_running
from provisioner.lifecycle.virtual_machine.identity import Functions, differences, facts_of, group_of, recorded
from provisioner.lifecycle.virtual_machine.leases import lost_claims
from provisioner.lifecycle.virtual_machine.preflight import preflight
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.errors import HikubeError, HostTimeout, HostUnreachable, NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.pci import PciFunction
from provisioner.planning.refusals import counted


def bind_gpus(view: VirtualMachineView) -> Verdict:
    """All functions of all claimed GPUs are on vfio-pci, and the cards are those that were recorded."""
    if not view.resource.status.gpus:
        return Done("no GPUs")
    if is_running(view):
        return Done("used by the running guest")
    if lost := lost_claims(view):
        return Abort("ClaimLost", f"its claim on {', '.join(lost)} is gone: others may have the GPU by now")
    refused = preflight(view, view.claims())
    if refused is not None:
        _roll_back(view, view.claims())  # what an earlier process may have left half done
        return refused
    claims = []
    for claim in view.claims():
        known = _recorded(view, claim)
        if isinstance(known, Abort):
            return known
        claims.append(known)
    refused = _swapped(view, claims)
    if refused is not None:
        return refused
    return _take_all(view, claims)


def _recorded(view: VirtualMachineView, claim: GPUClaim) -> GPUClaim | Abort:
    """The claim with its functions recorded; recorded only once, since after a bind the old driver cannot be read any more."""
    if claim.status.functions:
        return claim
    facts = facts_of(view, claim)
    if facts is None:
        return Abort("GPUVanished", f"host `{view.host.metadata.name}` has no GPU at {claim.spec.address} any more")
    surveyed = {facts.address, *(companion.address for companion in facts.companions)}
    found = group_of(facts, view.examination())
    if set(found) != surveyed:
        view.ports.host_watch.ask_survey(view.host.key)
        strange = ", ".join(sorted(set(found) ^ surveyed))
        return Abort("GroupChanged", f"the IOMMU group of {facts.address} is not what it was surveyed to be: {strange}")
    return view.ports.store.update_status(recorded(claim, facts, _look(view, facts.address, found), view.examination()))


def _swapped(view: VirtualMachineView, claims: Sequence[GPUClaim]) -> Abort | None:
    """A card that is not the one it was is for an operator to look at."""
    for claim in claims:
        reasons = list(differences(claim, facts_of(view, claim), _functions(view, claim), view.examination()))
        if reasons:
            return _refused(view, claims, claim, cause="Swapped", why="; ".join(reasons))
    return None


def _take_all(view: VirtualMachineView, claims: Sequence[GPUClaim]) -> Verdict:
    total = sum(len(claim.status.functions) for claim in claims)
    is_new = False
    for claim in claims:
        for function in _functions(view, claim).values():
            is_new = is_new or function.driver != VFIO
            verdict = _take(view, claims, claim, function)
            if verdict is not None:
                return verdict
    if is_new:
        verdict = _unlike_before(view, claims)
        if verdict is not None:
            return verdict
    boot_id = view.examination().boot_id
    for claim in claims:
        bound = {"bound": True, "bound_at": claim.status.bound_at or view.ports.now(), "host_boot_id": boot_id}
        view.ports.store.update_status(claim.with_status(**bound))
    return Done(f"{counted(total, 'function')} on {VFIO}")


def _take(view: VirtualMachineView, claims: Sequence[GPUClaim], claim: GPUClaim, function: PciFunction) -> Verdict | None:
    """None once that function is on vfio-pci. A host that went away in the middle is gone on with when it is back."""
    try:
        take(view.hypervisor.devices, function)
    except HostTimeout as error:
        why = f"driver {function.driver or '(none)'} of {function.address} does not let go: {error}"
        return _refused(view, claims, claim, cause="Hangs", why=why)
    except HostUnreachable:
        raise
    except NotFound as error:
        note_missing(view.ports, host=claim.spec.host, address=claim.spec.address, why=str(error))
        _roll_back(view, claims)
        raise
    except HikubeError:
        _roll_back(view, claims)
        raise
    return None


def _unlike_before(view: VirtualMachineView, claims: Sequence[GPUClaim]) -> Verdict | None:
    """What was just done is looked at once more: somebody else may act on the host at the same moment."""
    view.forget_examination()
    elsewhere = [text for claim in claims for text in on_other_drivers(_functions(view, claim).values())]
    if elsewhere:
        _roll_back(view, claims)
        return Retry(2.0, "NotBound", f"not on {VFIO} after all: {', '.join(elsewhere)}", is_trouble=True)
    return _swapped(view, claims)


def _refused(view: VirtualMachineView, claims: Sequence[GPUClaim], claim: GPUClaim, *, cause: str, why: str) -> Abort:
    """That GPU goes into quarantine, the others go back, and the attempt ends here."""
    quarantine(view.ports, host=claim.spec.host, address=claim.spec.address, reason=why, cause=cause)
    _roll_back(view, claims)
    return Abort(cause, f"GPU {claim.spec.address} of host `{claim.spec.host}` was quarantined: {why}")


def _roll_back(view: VirtualMachineView, claims: Sequence[GPUClaim]) -> None:
    """Give back in reverse what was taken for this VM, but for what a guest had already.

    Raises HostUnreachable: the host is away, and what is left is in the claims. Whatever else does not go back is left to the
    claim's table, which is patient; then the record stays, and the claim is not free before it is clean.
    """
    for claim in reversed(claims):
        if claim.was_given:
            continue
        try:
            give_back_all(view.hypervisor.devices, claim.status.functions)
        except HostTimeout as error:
            view.tell("NotGivenBack", f"{claim.spec.address}: {error}", warning=True)
        except HostUnreachable:
            raise
        except HikubeError as error:
            view.tell("NotGivenBack", f"{claim.spec.address}: {error}", warning=True)
        else:
            _forget(view, claim)


def _forget(view: VirtualMachineView, claim: GPUClaim) -> None:
    """The claim is as new: nothing of its GPU has to be restored."""
    current = view.ports.store.get(GPUClaim, claim.metadata.name)
    view.ports.store.update_status(current.with_status(functions=(), group_members=(), identity=None, bound=False))


def _functions(view: VirtualMachineView, claim: GPUClaim) -> Functions:
    return _look(view, claim.spec.address, [known.address for known in claim.status.functions])


def _look(view: VirtualMachineView, gpu: str, addresses: Sequence[str]) -> Functions:
    """The functions as they are; one that has gone takes its GPU out of the next placements until the host is surveyed."""
    try:
        return {function.address: function for function in view.hypervisor.devices.functions(addresses)}
    except NotFound as error:
        note_missing(view.ports, host=view.host.metadata.name, address=gpu, why=str(error))
        raise
