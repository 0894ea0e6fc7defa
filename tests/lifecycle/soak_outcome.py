"""Where every VM must be once a storm is over: Ready, or down as wanted, or waiting for what really is not to be had."""

from __future__ import annotations

from provisioner.lifecycle.fleet import snapshot
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.virtual_machine.attachments import disks_obstacle
from provisioner.lifecycle.virtual_machine.goal import Goal, goal
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.metadata import find_condition
from provisioner.model.virtual_machine import Phase, VirtualMachine
from provisioner.planning.placement import Placement, place
from provisioner.planning.requests import request_for


def what_is_wrong(vm: VirtualMachine, ports: Ports) -> str:
    """Empty if the VM is where it must be; else all that it says about itself."""
    ready = find_condition(vm.status.conditions, "Ready")
    scheduled = find_condition(vm.status.conditions, "Scheduled")
    if vm.is_being_deleted:
        is_right = False
    elif goal(vm) is Goal.DOWN:
        is_right = vm.status.phase is Phase.STOPPED
    elif ready is not None and ready.status == "True":
        is_right = vm.status.phase is Phase.READY
    else:
        says_why = scheduled is not None and bool(scheduled.message)
        is_right = vm.status.phase is Phase.PENDING and says_why and not _could_run(vm, ports)
    said = [f"{known.type}={known.status} {known.reason} {known.message}" for known in vm.status.conditions]
    return "" if is_right else f"{vm.key} {vm.status.phase}: {'; '.join(said)}"


def _could_run(vm: VirtualMachine, ports: Ports) -> bool:
    """Whether its disks are to be had and a host would take it now."""
    view = VirtualMachineView(vm, ports)
    if disks_obstacle(view) is not None:
        return False
    request = request_for(vm, size=view.size, tables=ports.tables, vm_disks=view.disks)
    return isinstance(place(request, snapshot(ports.store, ports.tables)), Placement)
