"""Steps `place`, `instance` and `start` on a cluster, and their way back: the machine is asked for, gets a node, and runs.

    apply ──> waiting ──> placed (a kubelet gave it its GPUs) ──> running          back: told to end ──> gone, or destroyed
                 └── why not: the cluster's own words, as the reason and the message of the condition

The cluster makes no new instance by itself: one that ends is for hikube to judge, by the VM's run strategy. Waiting for
capacity, for a quota and for a permission has no end, since somebody else ends it; a VM that another host would take moves
there.
"""

from __future__ import annotations

from provisioner.drivers.machine_cluster import Machine, MachineState
from provisioner.lifecycle.kubevirt.making import machine_spec, resources
from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.lifecycle.virtual_machine.reserve import home_elsewhere
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.errors import NotFound, QuotaExceeded
from provisioner.planning.refusals import counted
from provisioner.planning.restart import running_spec_of

POLL_S = 2.0
WAIT_S = 15.0
"""Between two looks at a machine that waits for somebody; the cluster tells when it gets on."""
PATIENCE_S = 60.0
"""So long a machine may be unschedulable before the VM looks for another host."""
WAITS_FOR_SOMEBODY = frozenset({"Unschedulable", "NotPermitted", "QuotaExceeded"})
LOST_GRACE_S = 30.0
"""How long a machine on a silent node is asked to end before it is destroyed."""
HARD_GRACE_S = 60.0
"""Beyond the time that its guest has to end; the launcher pod has half of it."""


def place_machine(view: VirtualMachineView) -> Verdict:
    """The machine is on the cluster as the VM's spec wants it, and a kubelet gave it its GPUs."""
    found = view.look_at_machine()
    is_asked_for = found is not None and (found.state is not MachineState.STOPPED or found.instance_uid)
    if found is None or not is_asked_for or not _is_spec_applied(view):
        return _apply(view)
    if found.ended:
        return ended_too_early(found)
    if found.state is MachineState.STOPPING:
        return Retry(POLL_S, "Stopping", "an earlier instance has not ended yet")
    if found.state is MachineState.LOST:
        return on_silent_node(view, found)
    if not found.is_current:
        return Abort("SpecChanged", "the instance was made from another spec than the one that was applied last")
    return _waiting(view, found) if found.state is MachineState.WAITING else _placed(view, found)


def _is_spec_applied(view: VirtualMachineView) -> bool:
    """Whether the cluster knows the VM's spec as it is now. What was started stays what it is."""
    known = view.resource.status.machine
    assert known is not None
    return view.holds("Defined") or known.applied_generation == view.resource.metadata.generation


def _apply(view: VirtualMachineView) -> Verdict:
    known, generation = view.resource.status.machine, view.resource.metadata.generation
    assert known is not None
    try:
        view.cluster.apply(machine_spec(view, is_to_run=True, has_keys=True))
    except QuotaExceeded as error:
        return Retry(WAIT_S, "QuotaExceeded", str(error), is_patient=True)
    except NotFound as error:
        return Retry(WAIT_S, "NamespaceMissing", str(error), is_patient=True)
    if known.applied_generation != generation:
        view.write(machine=known.model_copy(update={"applied_generation": generation}))
    return Retry(POLL_S, "Asked", "the machine is asked for; the cluster has not placed it yet")


def _placed(view: VirtualMachineView, found: Machine) -> Verdict:
    known = view.resource.status.machine
    assert known is not None
    if known.node != found.node:
        view.write(machine=known.model_copy(update={"node": found.node}))
        view.ports.host_watch.ask_survey(view.host.key)  # what it takes is in the node's numbers from now on
    gpus = counted(len(found.gpus), "GPU")
    return Done(f"on node {found.node}" + (f", whose kubelet gives it {gpus}" if found.gpus else ""))


def _waiting(view: VirtualMachineView, found: Machine) -> Verdict:
    trouble = found.trouble
    if trouble is None:
        return Retry(POLL_S, "Waiting", _why(found))
    if trouble.reason not in WAITS_FOR_SOMEBODY:
        final = Abort(trouble.reason, trouble.message, is_final=True)
        return final if trouble.is_final else Retry(POLL_S, trouble.reason, trouble.message)
    if trouble.reason == "Unschedulable" and _has_waited_long(view):
        home = home_elsewhere(view)
        if home and home != view.resource.status.host:
            return Abort("MustMove", f"{trouble.message}; host `{home}` would take it")
    return Retry(WAIT_S, trouble.reason, trouble.message, is_patient=True)


def _has_waited_long(view: VirtualMachineView) -> bool:
    scheduled = next((known for known in view.resource.status.conditions if known.type == "Scheduled"), None)
    return scheduled is not None and view.ports.age_s(scheduled.last_transition_time) > PATIENCE_S


def confirm_instance(view: VirtualMachineView) -> Verdict:
    """The instance was made from the spec that was applied last, with the GPUs that the VM asks for."""
    found = view.look_at_machine()
    if found is None or not found.instance_uid:
        return Abort("GuestStopped", "the instance is gone again")
    known = view.resource.status.machine
    assert known is not None
    if known.instance_uid == found.instance_uid:
        return Done(found.instance_uid)
    if known.instance_uid:
        return Abort("GuestStopped", "another instance has taken its place")
    if not found.is_current:
        return Abort("SpecChanged", "the instance was made from another spec than the one that was applied last")
    wanted = sorted(resources(view))
    if sorted(found.gpus) != wanted:
        return Abort(
            "WrongGPUs", f"the instance was made with {', '.join(found.gpus) or 'no GPU'}, not with {', '.join(wanted)}"
        )
    view.write(
        machine=known.model_copy(update={"instance_uid": found.instance_uid, "node": found.node}),
        running_spec=running_spec_of(view.resource, size=view.size),
    )
    return Done(found.instance_uid)


def await_guest(view: VirtualMachineView) -> Verdict:
    """The instance runs."""
    found = view.look_at_machine()
    if view.instance_runs():
        return Done(f"on node {found.node}" if found is not None else "")
    if found is None or found.ended or found.state is MachineState.STOPPED:
        return ended_too_early(found)
    known = view.resource.status.machine
    if known is not None and found.instance_uid != known.instance_uid:
        return Abort("GuestStopped", "another instance has taken its place")
    if found.state is MachineState.LOST:
        return on_silent_node(view, found)
    trouble = found.trouble
    return Retry(POLL_S, trouble.reason if trouble else "Starting", _why(found))


def on_silent_node(view: VirtualMachineView, found: Machine) -> Verdict:
    """The wait for the node, as long as the operator gives it."""
    if is_given_up(view, found):
        return Abort("NodeLost", f"node {found.node} has been silent for too long: {_why(found)}")
    return Retry(WAIT_S, "NodeLost", _why(found), is_patient=True)


def is_given_up(view: VirtualMachineView, found: Machine) -> bool:
    """Whether the machine's node has been silent for longer than the operator waits; since when is written down."""
    known, patience_s = view.resource.status.machine, view.host.spec.cluster.node_lost_after_s
    assert known is not None
    is_lost = found.state is MachineState.LOST
    since = (known.lost_since or view.ports.now()) if is_lost else ""
    if since != known.lost_since:
        view.write(machine=known.model_copy(update={"lost_since": since}))
    return is_lost and patience_s > 0 and view.ports.age_s(since) >= patience_s


def ended_too_early(found: Machine | None) -> Abort:
    """The verdict on an instance that ended while it was being brought up."""
    if found is None:
        return Abort("GuestStopped", "the machine was removed from the cluster while it was being brought up")
    how = {"off": "powered off", "crashed": "failed"}.get(found.ended, "ended")
    return Abort("GuestStopped", f"the instance {how} while it was being brought up: {_why(found)}")


def stop_machine(view: VirtualMachineView) -> Verdict:
    """No instance of the machine is left: told to end, and destroyed when its time is up. Its seed lets nobody in any more."""
    known = view.resource.status.machine
    if known is None:
        return Done()
    if view.look_at_machine() is not None:
        _tell_to_end(view)
    found = view.look_at_machine()
    if found is None or (found.state is MachineState.STOPPED and not found.instance_uid):
        return _stopped(view)
    if found.instance_uid and view.stopping_for_s() >= _grace_s(view, found):
        view.cluster.destroy(known.namespace, known.name, instance_uid=found.instance_uid)
        return Retry(POLL_S, "Destroying", f"its time is up, the instance is destroyed: {_why(found)}")
    return Retry(POLL_S, "ShuttingDown", f"told to end: {_why(found)}")


def _tell_to_end(view: VirtualMachineView) -> None:
    """A machine that nobody has data on, or whose VM goes for good, is removed altogether."""
    known = view.resource.status.machine
    assert known is not None
    if view.resource.is_being_deleted or not view.resource.status.first_ready:
        view.cluster.remove(known.namespace, known.name)
    else:
        view.cluster.apply(machine_spec(view, is_to_run=False, has_keys=False))


def _stopped(view: VirtualMachineView) -> Verdict:
    known = view.resource.status.machine
    assert known is not None
    bare = known.model_copy(update={"instance_uid": "", "node": "", "lost_since": "", "applied_generation": 0})
    if bare != known:
        view.write(machine=bare)
        view.ports.host_watch.ask_survey(view.host.key)  # what it took is free again
    return Done()


def _grace_s(view: VirtualMachineView, found: Machine) -> float:
    """How long a machine may take to end: its guest's time, little if it is nobody's or its node is silent."""
    if found.state is MachineState.LOST:
        return LOST_GRACE_S
    if not view.resource.status.first_ready:
        return 0.0
    return (view.budgets.shutdown_s + HARD_GRACE_S) * view.ports.time_scale


def _why(found: Machine) -> str:
    """The cluster's own words."""
    return found.trouble.message if found.trouble is not None else found.status_in_its_words or found.state.value
