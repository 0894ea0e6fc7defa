"""A GPU that leaves `spec.retired`, by whatever hand, goes into quarantine first: it comes back by the check, or not at all.

    spec.retired    what the operator says now
    status.retired  what was seen to be retired, and counts as retired until the host's next pass has dealt with it

Without the second, a file that is applied again without its `retired` would hand out a GPU that somebody had given up.
"""

from __future__ import annotations

from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.quarantine import change_host, quarantine
from provisioner.lifecycle.view import View
from provisioner.model.gpu_host import GPUHost

RETIRED = "Retired"
"""Cause of the quarantine."""
REASON = "it was retired, and nobody has checked it since"


def follow_retirement(view: View[GPUHost]) -> None:
    """Bring `status.retired` in line with the spec; what left the spec is quarantined before it leaves the status.

    Raises: Conflict: others kept writing the host's status.
    """
    host, ports = view.resource, view.ports
    if host.status.retired == host.spec.retired:
        return
    for address in sorted(set(host.status.retired) - set(host.spec.retired)):
        quarantine(ports, host=host.metadata.name, address=address, reason=REASON, cause=RETIRED)
    _note(ports, host)
    view.resource = ports.store.get(GPUHost, host.metadata.name)


def _note(ports: Ports, seen: GPUHost) -> None:
    """By the spec that was dealt with, not by one that came in meanwhile: that one makes a pass of its own."""
    change_host(ports, seen.metadata.name, lambda known: known.with_status(retired=seen.spec.retired))
