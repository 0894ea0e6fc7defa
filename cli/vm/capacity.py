"""What `gpu vm create` does where no host can take the VM: says why and stores nothing, or queues.

A host that was not looked at yet, or does not answer at this moment, may still say yes: while there is one, the control loop is
given the time to find out before "no" is the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.applying import Applied, Verb
from cli.goals import gone, machine_settled, still_wanted
from cli.output import say
from cli.planning import nowhere, preview_of
from cli.waiting import Target, Wait
from provisioner.model.errors import HikubeError, NoCapacity, QuotaExceeded, StillPending
from provisioner.model.metadata import Resource, find_condition
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.planning.placement import NoPlacement
from provisioner.planning.refusals import Reason

if TYPE_CHECKING:
    from cli.session import Session

UNREACHABLE_GRACE_S = 20.0
"""A control loop that has just started has tried every host by then."""
CLEAN_UP_S = 60.0
_MAY_CHANGE_BY_ITSELF = {Reason.UNREACHABLE, Reason.KVM_UNPROVEN}


def refuse_if_hopeless(session: Session, vm: VirtualMachine, *, queues: bool) -> None:
    """Print the plan; or refuse before anything is stored.

    Raises:
        NoCapacity: no host can take the VM, none is still to be looked at, and it shall not queue.
        QuotaExceeded: its namespace may not have so many GPUs (more), and it shall not queue.
        InvalidInput, NotFound: the VM names what does not exist.
    """
    placement = preview_of(session, vm).placement
    if isinstance(placement, NoPlacement):
        if not queues and not _may_change(placement):
            raise nowhere(vm, placement, hint="--queue waits for capacity; `hikube gpu offers` shows what is free")
        say(f"Plan  {vm.metadata.name} has no host yet: {placement.sentence()}")
        return
    say(f"Plan  {vm.metadata.name} on {placement.sentence()}")


class Patience:
    """The wait of `create`: over when the VM is ready, or when it is clear that nobody can take it."""

    def __init__(self, session: Session, done: Applied, *, queues: bool, timeout_s: float) -> None:
        self._session = session
        self._done = done
        self._queues = queues
        self._timeout_s = timeout_s
        self._began_s = session.clock.monotonic_s()

    def run(self) -> None:
        """Wait.

        Raises:
            NoCapacity, QuotaExceeded: the VM would have to queue; if it was made here, it is gone again.
            StillPending, Failed, Stuck: see waiting.
        """
        target = Target(self._done.resource.key, self._is_over, "Ready")
        try:
            Wait(self._session, [target], timeout_s=self._timeout_s).run()
        except (NoCapacity, QuotaExceeded) as error:
            if self._done.verb is Verb.CREATED:
                self._take_back()
            else:
                error.hint = "it was stored before, and goes on waiting while a control loop runs"
            raise

    def _is_over(self, resource: Resource | None) -> bool:
        vm = still_wanted(self._done.resource.key, resource)
        if machine_settled(vm):
            return True
        assert isinstance(vm, VirtualMachine)
        if not self._queues and _waits_for_capacity(vm):
            self._raise_if_hopeless(vm)
        return False

    def _raise_if_hopeless(self, vm: VirtualMachine) -> None:
        placement = preview_of(self._session, vm).placement
        waited_s = self._session.clock.monotonic_s() - self._began_s
        if not isinstance(placement, NoPlacement) or _may_change(placement, waited_s=waited_s):
            return  # room was made a moment ago, or is about to be: the control loop will see
        raise nowhere(vm, placement, hint="--queue waits for capacity; `hikube gpu offers` shows what is free")

    def _take_back(self) -> None:
        """Nothing was placed, so nothing but the object itself has to go."""
        resource = self._done.resource
        try:
            self._session.store.delete(resource.key, uid=resource.metadata.uid)
            Wait(self._session, [gone(resource.key, uid=resource.metadata.uid)], timeout_s=CLEAN_UP_S).run()
        except StillPending as error:
            say(f"the VM is being deleted: {error.why}")
        except HikubeError as error:
            say(f"the VM could not be deleted: {error}")


def _waits_for_capacity(vm: VirtualMachine) -> bool:
    found = find_condition(vm.status.conditions, "Scheduled")
    return found is not None and found.status == "False" and found.reason != "Released"


def _may_change(refusal: NoPlacement, *, waited_s: float = 0.0) -> bool:
    """Whether a host that was refused may turn out to fit without anybody doing anything."""
    reasons = {refusals[0].reason for _, refusals in refusal.refused}
    still = _MAY_CHANGE_BY_ITSELF if waited_s < UNREACHABLE_GRACE_S else {Reason.KVM_UNPROVEN}
    return bool(reasons & still)
