"""Step `restore`: every function is back on the driver that the claim recorded, in reverse order of the bind.

A device that is busy for a moment is given its time by the step's budget. Where the operator keeps GPUs on vfio-pci, and where
the device hangs or has gone, nothing is touched.
"""

from __future__ import annotations

from provisioner.lifecycle.gpu_claim.functions import VFIO, give_back_all
from provisioner.lifecycle.gpu_claim.view import GPUClaimView
from provisioner.lifecycle.verdicts import Abort, Done, Verdict
from provisioner.model.errors import NotFound


def restore_drivers(view: GPUClaimView) -> Verdict:
    """Whoever is next finds it as it was."""
    if view.cleaning.restored:
        return Done(view.cleaning.restored)
    if view.cleaning.is_left_alone:
        return _noted(view, "left as it is: it hangs or has gone")
    if view.host.spec.keep_on_vfio:
        return _noted(view, f"kept on {VFIO}, as the host's spec asks")
    try:
        give_back_all(view.hypervisor.devices, view.resource.status.functions)
    except NotFound as error:
        return Abort("GPUVanished", f"it vanished: {error}")
    drivers = [function.previous_driver or "the kernel's choice" for function in view.resource.status.functions]
    return _noted(view, ", ".join(drivers))


def _noted(view: GPUClaimView, sentence: str) -> Done:
    view.note(restored=sentence or "nothing was bound")
    return Done(view.cleaning.restored)
