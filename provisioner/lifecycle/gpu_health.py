"""Watching over the GPUs of running VMs: whoever has one that died is told, and nobody gets it next.

    survey, examination (of a host, on its period or because libvirt told that devices changed)
      -> planning.gpu_health   did it die?
      -> quarantine            at once, which also keeps it from the next VM; an event on the host
      -> the VM is woken       its own pass writes the condition GPUHealthy and tells it there

The VM itself is left alone: it runs on, is not restarted and not stopped, since what it still can do is its tenant's to decide.
"""

from __future__ import annotations

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.lifecycle.quarantine import quarantine
from provisioner.lifecycle.view import View
from provisioner.model.errors import NotFound
from provisioner.model.examination import AerCounts, HostExamination
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GpuHealth, GPUHost
from provisioner.planning.gpu_health import CONFIG_SPACE_DEAD, Ailment, Watched, ailments

EXAMINE_TIMEOUT_S = 20.0
LOOKS_AGAIN = 2
"""Each takes about a second on a real host; a function-level reset takes less."""


def watch_over_gpus(view: View[GPUHost], hypervisor: Hypervisor, examination: HostExamination) -> None:
    """Judge every GPU of this host that a VM has bound, right after a survey and with the examination that followed it.

    Idempotent: a GPU that is in quarantine for its death is not told of again. Raises: Conflict; HostUnreachable.
    """
    ports = view.ports
    for claim in ports.snapshots.claims_on(view.resource.metadata.name, ports.store, ports.tables):
        if claim.status.bound and not claim.is_released:
            for ailment in ailments(_watched(view, claim, hypervisor, examination), examination):
                if ailment.cause != CONFIG_SPACE_DEAD or _is_still_dead(hypervisor, claim.spec.address):
                    _act(view, claim, ailment)


def _watched(view: View[GPUHost], claim: GPUClaim, hypervisor: Hypervisor, examination: HostExamination) -> Watched:
    address = claim.spec.address
    facts = next((gpu for gpu in view.resource.status.gpus if gpu.address == address), None)
    is_in_survey = facts is not None and facts.health is not GpuHealth.MISSING
    has_to_be_asked = not is_in_survey and not examination.is_known
    return Watched(
        address=address,
        is_in_survey=is_in_survey,
        is_gone=has_to_be_asked and _is_gone(hypervisor, address),
        aer_at_bind=_aer_at_bind(claim),
    )


def _is_gone(hypervisor: Hypervisor, address: str) -> bool:
    try:
        hypervisor.devices.functions([address])
    except NotFound:
        return True
    return False


def _is_still_dead(hypervisor: Hypervisor, address: str) -> bool:
    """A device that is being reset, as at every boot of a guest, does not answer for a moment: it must be dead every time."""
    looks = (hypervisor.inventory.examine([address], timeout_s=EXAMINE_TIMEOUT_S) for _ in range(LOOKS_AGAIN))
    return all((seen := look.function(address)) is not None and seen.config_alive is False for look in looks)


def _aer_at_bind(claim: GPUClaim) -> AerCounts | None:
    return next((known.aer for known in claim.status.functions if known.address == claim.spec.address), None)


def _act(view: View[GPUHost], claim: GPUClaim, ailment: Ailment) -> None:
    host, address = claim.spec.host, claim.spec.address
    owner = claim.spec.owner
    words = f"{ailment.message}; {owner.kind} {owner.namespace}/{owner.name} has it"
    if not ailment.is_death:
        view.tell("GPUDegraded", f"{address}: {words}", warning=True)
        return
    if quarantine(view.ports, host=host, address=address, reason=words, cause=ailment.cause):
        view.resource = view.ports.store.get(GPUHost, host)
        view.ports.host_watch.wake(owner.key)
