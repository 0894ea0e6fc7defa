"""Step `bind`: every function of the claimed GPUs' groups on vfio-pci, and back again exactly as they were.

What a function was before is written into the claim before the first driver is touched, so that a crash in the middle leaves
a record of how to go home. A GPU that cannot go home is quarantined and named; it never goes to the next tenant.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.drivers.hypervisor import Devices
from provisioner.lifecycle.quarantine import note_missing, quarantine
from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.clock import seconds
from provisioner.model.errors import DeviceBusy, HostTimeout, NotFound
from provisioner.model.gpu_claim import ClaimedFunction, GPUClaim
from provisioner.model.metadata import StepRecord
from provisioner.model.pci import PciFunction

VFIO = "vfio-pci"
BIND_TIMEOUT_S = 60.0
UNDO_BUDGET_S = 120.0
RESTORE = "restore"


def bind_gpus(view: VirtualMachineView) -> Verdict:
    """All functions of all claimed GPUs are on vfio-pci."""
    if not view.resource.status.gpus:
        return Done("no GPUs")
    devices = view.hypervisor.devices
    bound = 0
    for claim in view.claims():
        recorded = _recorded(view, claim)
        if isinstance(recorded, Abort):
            return recorded
        for function in _functions(view, recorded):
            if function.driver != VFIO:
                devices.bind_vfio(function.address, timeout_s=BIND_TIMEOUT_S)
            bound += 1
        if not recorded.status.bound:
            view.ports.store.update_status(recorded.with_status(bound=True))
    return Done(f"{bound} functions on {VFIO}")


def restore_gpus(view: VirtualMachineView) -> Verdict:
    """Every function that we took is back on the driver that it had."""
    if not view.resource.status.host:
        return Done()
    for claim in view.claims():
        if not claim.status.functions:
            continue
        verdict = _restore(view, claim)
        if verdict is not None:
            return verdict
    return Done()


def _recorded(view: VirtualMachineView, claim: GPUClaim) -> GPUClaim | Abort:
    """The claim with its functions recorded; recorded only once, since after a bind the old driver cannot be read any more."""
    if claim.status.functions:
        return claim
    facts = next((gpu for gpu in view.host.status.gpus if gpu.address == claim.spec.address), None)
    if facts is None:
        return Abort("GPUVanished", f"host `{view.host.metadata.name}` has no GPU at {claim.spec.address} any more")
    addresses = [facts.address, *(companion.address for companion in facts.companions)]
    functions = tuple(
        ClaimedFunction(
            address=function.address,
            vendor=function.vendor,
            device=function.device,
            previous_driver=function.driver,
        )
        for function in _look(view, facts.address, addresses)
    )
    return view.ports.store.update_status(claim.with_status(functions=functions))


def _functions(view: VirtualMachineView, claim: GPUClaim) -> tuple[PciFunction, ...]:
    return _look(view, claim.spec.address, [known.address for known in claim.status.functions])


def _look(view: VirtualMachineView, gpu: str, addresses: Sequence[str]) -> tuple[PciFunction, ...]:
    """The functions as they are; one that has gone takes its GPU out of the next placements until the host is surveyed."""
    try:
        return view.hypervisor.devices.functions(addresses)
    except NotFound as error:
        note_missing(view.ports, host=view.host.metadata.name, address=gpu, why=str(error))
        raise


def _restore(view: VirtualMachineView, claim: GPUClaim) -> Verdict | None:
    """None once the GPU is home, or quarantined because it cannot go there."""
    try:
        for known in reversed(claim.status.functions):
            restore_function(view.hypervisor.devices, known)
    except NotFound as error:
        quarantine(view.ports, host=claim.spec.host, address=claim.spec.address, reason=f"vanished: {error}")
        return None
    except (DeviceBusy, HostTimeout) as error:
        view.hypervisor.devices.functions([claim.spec.address])  # a host that is away is no fault of the device
        if _restoring_for_s(view) < UNDO_BUDGET_S:
            return Retry(2.0, type(error).__name__, str(error), is_trouble=True)
        quarantine(view.ports, host=claim.spec.host, address=claim.spec.address, reason=f"could not be restored: {error}")
        return None
    view.ports.store.update_status(claim.with_status(functions=(), bound=False))
    return None


def _restoring_for_s(view: VirtualMachineView) -> float:
    """Seconds since a function first did not go home; noted as a step of its own, since stopping may have begun long before."""
    record = view.record(RESTORE)
    if record is None:
        record = StepRecord(name=RESTORE, started=view.ports.now())
        view.write(steps=(*view.resource.status.steps, record))
    return view.ports.clock.now_s() - seconds(record.started)


def restore_function(devices: Devices, known: ClaimedFunction) -> None:
    """Give one function back to the driver that the claim recorded; nothing to do if it is not on vfio-pci now."""
    now = devices.functions([known.address])[0]
    if now.driver == VFIO and known.previous_driver != VFIO:
        devices.restore(known.address, driver=known.previous_driver, timeout_s=BIND_TIMEOUT_S)
