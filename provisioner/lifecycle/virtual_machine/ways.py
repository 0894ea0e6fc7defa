"""What differs by what a VM is on, a libvirt host or a KubeVirt cluster: its table, and how it is looked after.

Passes are the same for both. Where a VM goes decides which table is its own, so the first step, `reserve`, is in both.
"""

from __future__ import annotations

from provisioner.drivers.hypervisor import DomainState
from provisioner.lifecycle.kubevirt import watching
from provisioner.lifecycle.kubevirt.table import KUBEVIRT_MACHINE
from provisioner.lifecycle.steps import Lifecycle
from provisioner.lifecycle.verdicts import Done, Verdict
from provisioner.lifecycle.virtual_machine import gpu_condition
from provisioner.lifecycle.virtual_machine.ending import state_at_end
from provisioner.lifecycle.virtual_machine.host_condition import look_after
from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView

_RESERVE = Lifecycle(VIRTUAL_MACHINE.by_name["reserve"])


def table_of(view: VirtualMachineView) -> Lifecycle[VirtualMachineView]:
    """The table of the VM where it is now; that of libvirt while it is nowhere."""
    return KUBEVIRT_MACHINE if view.is_on_cluster else VIRTUAL_MACHINE


def advance(view: VirtualMachineView, *, settled: set[str]) -> Verdict:
    """Run the VM's table forwards as far as it goes; see Lifecycle.advance."""
    if not view.resource.status.host:
        verdict = _RESERVE.advance(view, settled=settled)
        if not isinstance(verdict, Done):
            return verdict
    return table_of(view).advance(view, settled=settled)


def state_now(view: VirtualMachineView) -> DomainState:
    """What became of a VM that was Ready.

    Raises:
        HostUnreachable: nobody knows; the VM says so.
    """
    if view.is_on_cluster:
        return watching.state_of(view)
    domain = look_after(view)
    is_running = domain is not None and domain.state is DomainState.RUNNING
    return DomainState.RUNNING if is_running else state_at_end(view, domain)


def node_to_leave(view: VirtualMachineView) -> str:
    """The node of a cluster that somebody drains of the VM; empty: it may stay."""
    return watching.wants_to_leave(view) if view.is_on_cluster else ""


def note_gpu_health(view: VirtualMachineView) -> None:
    """The condition GPUHealthy, as far as the host side can tell."""
    if view.is_on_cluster:
        watching.note_gpu_health(view)
    else:
        gpu_condition.note_gpu_health(view)
