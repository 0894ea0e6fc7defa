"""A Ready VM on a cluster: whether the very instance that was proven still runs, and whether it is asked to leave its node.

    the same instance runs            Ready stays
    it ended, or another is there     as its run strategy has it: started anew and proven, or Stopped
    its node is silent                HostReachable is False, and Ready stays what was last seen; after the operator's patience
                                      the instance is destroyed there and the VM started elsewhere
    somebody drains its node          a graceful stop, and a start wherever the cluster has room

An instance that hikube did not start has no key of ours in its seed: nobody can prove it, so it is ended like any other.
"""

from __future__ import annotations

from provisioner.drivers.hypervisor import DomainState
from provisioner.drivers.machine_cluster import Machine, MachineState
from provisioner.lifecycle.kubevirt.placing import is_given_up
from provisioner.lifecycle.virtual_machine.gpu_condition import GPU_HEALTHY
from provisioner.lifecycle.virtual_machine.host_condition import HOST_REACHABLE
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.errors import HostUnreachable
from provisioner.model.metadata import find_condition


def state_of(view: VirtualMachineView) -> DomainState:
    """What became of the instance that was proven, in a hypervisor's words; on a silent node it counts as running for a while.

    Raises:
        HostUnreachable: the cluster does not answer; nobody knows.
    """
    try:
        found = view.look_at_machine()
    except HostUnreachable as error:
        _say_reachable(view, "HostUnreachable", str(error))
        raise
    if found is None:
        return DomainState.ABSENT
    if is_given_up(view, found):
        view.tell("NodeLost", f"node {found.node} has been silent for too long: the VM is started elsewhere", warning=True)
        return DomainState.CRASHED
    if found.state is MachineState.LOST:
        _say_reachable(view, "NodeLost", found.trouble.message if found.trouble else f"node {found.node} does not answer")
        return DomainState.RUNNING
    _say_reachable(view, "", "")
    return _ended_state(view, found)


def wants_to_leave(view: VirtualMachineView) -> str:
    """The node that the VM has to leave, because somebody drains it; empty: none."""
    found = view.look_at_machine()
    return found.node or "its node" if found is not None and found.asks_to_leave else ""


def note_gpu_health(view: VirtualMachineView) -> None:
    """The condition GPUHealthy: the host side of the GPUs is the cluster's, and hikube does not see it."""
    before = find_condition(view.resource.status.conditions, GPU_HEALTHY)
    reason = "NotWatched" if view.resource.status.gpus else "NoGPU"
    if before is None and not view.resource.status.gpus:
        return
    if before is None or (before.status, before.reason) != ("Unknown", reason):
        view.write(view.condition(GPU_HEALTHY, "Unknown", reason, "the nodes of the cluster are not looked into"))


def _ended_state(view: VirtualMachineView, found: Machine) -> DomainState:
    known = view.resource.status.machine
    is_same = known is not None and known.instance_uid == found.instance_uid
    if found.ended == "off" and is_same:
        return DomainState.OFF
    is_going = found.state in (MachineState.RUNNING, MachineState.STOPPING)
    if is_same and is_going:
        return DomainState.RUNNING  # while it stops nobody knows yet how it will have ended
    return DomainState.CRASHED


def _say_reachable(view: VirtualMachineView, reason: str, why: str) -> None:
    """Written where it is news; a VM whose host never went away does not have the condition."""
    before = find_condition(view.resource.status.conditions, HOST_REACHABLE)
    if reason and (before is None or before.status != "False"):
        view.write(view.condition(HOST_REACHABLE, "False", reason, why))
    elif not reason and before is not None and before.status != "True":
        view.write(view.condition(HOST_REACHABLE, "True", "Reachable"))
