"""Step `reset`: function 0 by the best method that the device has, then its companions where they have one of their own.

A companion that can only be reset through its bus is left out: that would take the whole card with it, and an audio function
is known to wedge a card that way. A reset that fails is tried a few times; one that does not return is not tried again, and
the device is left alone from then on, whatever the host's policy: the next write to it may not return either.
"""

from __future__ import annotations

from provisioner.lifecycle.gpu_claim.view import GPUClaimView
from provisioner.lifecycle.verdicts import Abort, Done, Verdict
from provisioner.model.errors import HostTimeout, HypervisorError, NotFound, Unsupported

RESET_TIMEOUT_S = 60.0
RESETS_MAX = 3
BUS = frozenset({"bus", "cxl_bus"})
NEVER_GIVEN = "not needed: no guest ever had it"


def reset_gpu(view: GPUClaimView) -> Verdict:
    """Nothing of the last tenant is in its registers."""
    if view.cleaning.reset:
        return Done(view.cleaning.reset)
    if not view.resource.was_given:
        return _noted(view, NEVER_GIVEN)
    try:
        method = view.hypervisor.devices.reset(view.address, timeout_s=RESET_TIMEOUT_S)
        companions = _reset_companions(view)
    except Unsupported as error:
        return _not_reset(view, f"not possible: {error}")
    except HostTimeout as error:
        view.hypervisor.devices.functions([view.address])  # a host that is away is no fault of the device
        view.note(is_left_alone=True)
        return Abort("ResetHangs", f"its reset did not return: {error}")
    except NotFound as error:
        view.note(is_left_alone=True)
        return Abort("GPUVanished", f"it vanished: {error}")
    except HypervisorError as error:
        if _attempts(view) < RESETS_MAX - 1:
            raise
        return _not_reset(view, f"failed {RESETS_MAX} times: {error}")
    done = f"done by {method}" if method else "left to vfio-pci, which does it when the GPU is opened"
    view.note(reset_method=method, reset=f"{done}, with {', '.join(companions)}" if companions else done)
    return Done(view.cleaning.reset)


def _reset_companions(view: GPUClaimView) -> list[str]:
    """Reset those that have a method that leaves the rest of the card alone; says which."""
    companions = [address for address in view.addresses if address != view.address]
    if not companions:
        return []
    examination = view.hypervisor.inventory.examine(companions, timeout_s=RESET_TIMEOUT_S)
    able = [address for address in companions if (found := examination.function(address)) and set(found.reset_methods) - BUS]
    for address in able:
        view.hypervisor.devices.reset(address, timeout_s=RESET_TIMEOUT_S)
    return able


def _not_reset(view: GPUClaimView, why: str) -> Verdict:
    """Whether that is the end of it is the operator's to say, by the host's policy."""
    if view.must_be_shown:
        view.note(reset=why)
        return Abort("NotReset", f"its reset {why}")
    return _noted(view, why)


def _noted(view: GPUClaimView, sentence: str) -> Done:
    view.note(reset=sentence)
    return Done(sentence)


def _attempts(view: GPUClaimView) -> int:
    record = view.record("reset")
    return record.attempts if record is not None else 0
