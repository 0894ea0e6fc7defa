"""What a VM shall be now: up, down or gone. A pure decision over spec, status, request and what its domain is doing.

deletion asked for                              -> GONE
Always                                          -> UP
Halted                                          -> DOWN
Once, RerunOnFailure                            -> UP until the guest ended by itself (RerunOnFailure: ended well)
Manual                                          -> UP after a start request, DOWN after a stop request or an end
a restart request that was not acted on         -> RESTART, then as above
"""

from __future__ import annotations

import enum

from provisioner.drivers.hypervisor import DomainState
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, RunStrategy, VirtualMachine


class Goal(enum.Enum):
    """Which way to run the table."""

    UP = "up"
    DOWN = "down"
    RESTART = "restart"
    GONE = "gone"


def goal(vm: VirtualMachine) -> Goal:
    """What the VM shall be now."""
    if vm.is_being_deleted:
        return Goal.GONE
    request = vm.metadata.annotations.get(REQUEST_ANNOTATION, "")
    verb = request.partition(":")[0]
    is_new = bool(request) and request != vm.status.handled_request
    strategy = vm.spec.run_strategy
    if strategy is RunStrategy.HALTED:
        return Goal.DOWN
    if strategy is RunStrategy.MANUAL:
        if verb not in ("start", "restart") or (vm.status.completed and not is_new):
            return Goal.DOWN
        return Goal.RESTART if verb == "restart" and is_new and vm.status.first_ready else Goal.UP
    if is_new and verb == "restart":
        return Goal.RESTART
    if strategy in (RunStrategy.ONCE, RunStrategy.RERUN_ON_FAILURE) and vm.status.completed:
        return Goal.DOWN
    return Goal.UP


def ended_by_itself(vm: VirtualMachine, state: DomainState) -> Goal:
    """What a VM that was Ready shall be, now that its domain has stopped without our asking."""
    strategy = vm.spec.run_strategy
    if strategy is RunStrategy.ALWAYS:
        return Goal.RESTART
    if strategy is RunStrategy.RERUN_ON_FAILURE and state is DomainState.CRASHED:
        return Goal.RESTART
    return Goal.DOWN
