"""Step `quiesce`: nobody has the GPU, and nobody can get at it: no domain of ours runs with it, none of its last owner is left
that may be about to start with it, and it is on vfio-pci.

After a boot of the host a GPU is on the kernel's drivers with the last tenant's traces still in it; it is taken from them
before anything else, since neither a reset nor a scrub may meet a driver at work.
"""

from __future__ import annotations

from provisioner.drivers.hypervisor import Domain, DomainState
from provisioner.lifecycle.gpu_claim.functions import take
from provisioner.lifecycle.gpu_claim.view import GPUClaimView
from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.model.errors import HostTimeout, NotFound

IN_USE_S = 30.0
"""The sweep of the host (orphans.py) stops a domain without an owner; until then the claim protects the GPU."""


def quiesce(view: GPUClaimView) -> Verdict:
    """Nobody has it. Once it is verified it may be on its way to its own drivers, and is not taken from them again."""
    if view.cleaning.verification:
        return Done("nobody has it")
    user = _user(view)
    if user is not None and user.state is not DomainState.RUNNING:
        return Retry(IN_USE_S, "InUse", f"it has no owner, and domain `{user.name}` may still start with it")
    if user is not None:
        if not view.resource.status.given_at:
            view.write(given_at=view.ports.now())  # seen with our own eyes
        if view.cleaning.reset:
            view.note(reset_method="", reset="", scrubbed=None, scrub="")  # of before; it was used since
        return Retry(IN_USE_S, "InUse", f"it has no owner, and domain `{user.name}` still has it")
    if not view.resource.was_given:
        return Done("no guest ever had it")
    devices = view.hypervisor.devices
    try:
        for function in devices.functions(view.addresses):
            take(devices, function)
    except NotFound as error:
        view.note(is_left_alone=True)
        return Abort("GPUVanished", f"it vanished: {error}")
    except HostTimeout as error:
        view.note(is_left_alone=True)
        return Abort("GPUHangs", f"its driver does not let go of it: {error}")
    return Done("nobody has it")


def _user(view: GPUClaimView) -> Domain | None:
    """The domain of ours that has one of its functions, or may start with it at any moment; None if there is none.

    A VM that was removed by force may have left a start under way, which ends when it likes; until its domain is undefined.
    """
    mine, owner_uid = set(view.addresses), view.resource.spec.owner.uid
    for domain in view.hypervisor.domains.owned():
        may_start = domain.state is DomainState.RUNNING or domain.owner_uid == owner_uid
        if may_start and mine & set(domain.functions):
            return domain
    return None
