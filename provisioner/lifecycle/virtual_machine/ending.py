"""How the domain of a Ready VM came to its end: by itself, by a crash, or because its host was booted under it.

A booted host shows its domains as shut off, as if every guest had powered off; the boot id that was recorded when the GPUs were
bound tells the two apart. Without GPUs, or where the host cannot be examined, nobody knows, and what the host shows counts. The
host is asked only where the answer decides something: a VM that runs again on failure, and not on an end of its own.
"""

from __future__ import annotations

from provisioner.drivers.hypervisor import Domain, DomainState
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.errors import HostTimeout
from provisioner.model.virtual_machine import RunStrategy


def state_at_end(view: VirtualMachineView, domain: Domain | None) -> DomainState:
    """What became of it; a guest that its host took along did not end well."""
    if domain is None:
        return DomainState.ABSENT
    is_decisive = domain.state is DomainState.OFF and view.resource.spec.run_strategy is RunStrategy.RERUN_ON_FAILURE
    if is_decisive and _was_host_booted(view):
        return DomainState.CRASHED
    return domain.state


def _was_host_booted(view: VirtualMachineView) -> bool:
    recorded = {claim.status.host_boot_id for claim in view.claims()} - {""}
    if not recorded:
        return False
    try:
        now = view.examination().boot_id
    except HostTimeout:
        return False
    return bool(now) and now not in recorded
