"""What a VM writes into its claims about the GPUs that it has: that a guest is given them, and that it lets go of them.

Letting go is all that a VM does on its way down: the claim's own table (lifecycle/gpu_claim) resets, scrubs, verifies and
restores, and only then deletes the claim. A claim of which no function was ever touched has nothing to clean and goes at once.

A controller that was stopped in the middle of a pass, and lost its lease meanwhile, must not let go of what another has claimed
for the same VM since: claims are listed before the VM is read again, and each is released as it was listed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.errors import NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_cleaning import GuestEvidence


def note_given(view: VirtualMachineView) -> None:
    """From now on a guest may have its traces in the GPUs. To be called before the domain starts, not after."""
    for claim in view.claims():
        if not claim.status.given_at:
            view.ports.store.update_status(claim.with_status(given_at=view.ports.now()))


def lost_claims(view: VirtualMachineView) -> tuple[str, ...]:
    """Addresses of GPUs that the VM's domain would be given and that the VM does not own any more: somebody took its claim."""
    owned = {(claim.spec.host, claim.spec.address) for claim in view.claims()}
    return tuple(gpu.address for gpu in view.resource.status.gpus if (gpu.host, gpu.address) not in owned)


def let_go(view: VirtualMachineView) -> None:
    """The VM owns no GPU any more. May be repeated after a crash anywhere in it.

    Raises:
        Conflict: the VM or a claim is not what this pass saw any more; end the pass.
    """
    claims = view.claims()
    if claims:
        view.ensure_current()
    for claim in claims:
        with contextlib.suppress(NotFound):
            if claim.status.functions or claim.status.machine is not None:
                released = claim.with_status(released_at=view.ports.now(), guest=_evidence(view, claim))
                view.ports.store.update_status(released)
            else:
                view.ports.store.delete(claim.key, version=claim.metadata.resource_version)


def take_back(view: VirtualMachineView, claims: Iterable[GPUClaim]) -> None:
    """These, which this pass created and nobody has used, are gone."""
    for claim in claims:
        with contextlib.suppress(NotFound):
            view.ports.store.delete(claim.key, uid=claim.metadata.uid)


def _evidence(view: VirtualMachineView, claim: GPUClaim) -> GuestEvidence:
    """What the guest called the GPU, when it was proven last."""
    where = (claim.spec.host, claim.spec.device)
    found = next((gpu for gpu in view.resource.status.gpus if where in ((gpu.host, gpu.address), (gpu.host, gpu.uuid))), None)
    return GuestEvidence(uuid=found.uuid, serial=found.serial, vbios=found.vbios) if found is not None else claim.status.guest
