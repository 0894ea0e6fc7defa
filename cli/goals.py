"""When a wait is over, per kind and wish; and which states can only end badly. Pure functions of one resource."""

from __future__ import annotations

from cli.waiting import Target
from provisioner.model.errors import Conflict, Failed, NotFound, Stuck
from provisioner.model.metadata import Condition, Key, Resource, find_condition
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, Phase, VirtualMachine
from provisioner.model.vm_disk import VMDisk

_WAITS_FOR_OTHERS = ("WaitForFirstConsumer", "WaitingForUpload")


def settled(resource: Resource) -> Target:
    """The wait for a resource to be as its spec says: Ready, or Stopped for a VM that shall not run."""
    key = resource.key
    if isinstance(resource, VirtualMachine):
        wanted = "Stopped" if _shall_be_down(resource) else "Ready"
        return Target(key, lambda now: machine_settled(still_wanted(key, now)), wanted)
    return Target(key, lambda now: _ready_or_failed(still_wanted(key, now)), "Ready")


def gone(key: Key, *, uid: str = "") -> Target:
    """The wait for an object to be gone, or to be another one of the same name."""

    def is_gone(resource: Resource | None) -> bool:
        if resource is None or (uid and resource.metadata.uid != uid):
            return True
        _raise_if_stuck(resource)
        return False

    return Target(key, is_gone, "deleted")


def machine_settled(vm: Resource) -> bool:
    """Whether the VM has become what its spec and its last request ask for.

    Raises:
        Failed, Stuck: it has given up.
    """
    assert isinstance(vm, VirtualMachine)
    _raise_if_stuck(vm)
    if not is_current(vm) or _has_new_request(vm):
        return False
    if vm.status.phase is Phase.FAILED:
        raise _failed(vm, vm.status.last_failure)
    if _shall_be_down(vm):
        return vm.status.phase is Phase.STOPPED
    return _holds(vm, "Ready")


def _ready_or_failed(found: Resource) -> bool:
    """Whether a disk, a host or an image is ready, or waits for something that nobody does while we wait."""
    if not hasattr(found.status, "phase") and found.kind not in ("GPUHost",):
        return True  # nothing acts on it
    raise_if_hopeless(found)
    ready = find_condition(found.status.conditions, "Ready")
    if isinstance(found, VMDisk) and ready is not None and ready.reason in _WAITS_FOR_OTHERS:
        return True
    return _holds(found, "Ready") and is_current(found)


def still_wanted(key: Key, resource: Resource | None) -> Resource:
    """The resource, if there still is one that shall stay.

    Raises:
        NotFound, Conflict: it is gone, or going.
    """
    if resource is None:
        raise NotFound(f"{key} was deleted while waiting for it")
    if resource.is_being_deleted:
        raise Conflict(f"{resource.key} is being deleted", hint="nothing more will become of it; wait for its deletion instead")
    return resource


def raise_if_hopeless(resource: Resource) -> None:
    """Raise Failed or Stuck if nothing more will become of it."""
    _raise_if_stuck(resource)
    phase = str(getattr(resource.status, "phase", ""))
    if phase == Phase.FAILED and is_current(resource):
        ready = find_condition(resource.status.conditions, "Ready")
        raise _failed(resource, getattr(resource.status, "last_failure", "") or (ready.message if ready else ""))


def _raise_if_stuck(resource: Resource) -> None:
    clean = find_condition(resource.status.conditions, "CleanedUp")
    if clean is not None and clean.status == "False" and clean.reason == "Stuck":
        raise _stuck(resource, clean)


def _stuck(resource: Resource, clean: Condition) -> Stuck:
    left, _, why = clean.message.partition(": ")
    return Stuck(
        f"{resource.key} could not be undone completely",
        why=why or clean.message,
        hint="it is tried again while a control loop runs; see what holds it, then wait again",
        context={"left": left.split(", ") if why else []},
    )


def _failed(resource: Resource, why: str) -> Failed:
    return Failed(
        f"{resource.key} failed, and what it had made was undone",
        why=why,
        hint=f"change its spec, or `hikube gpu vm restart {resource.metadata.name}` for another try"
        if isinstance(resource, VirtualMachine)
        else "change its spec for another try",
    )


def _shall_be_down(vm: VirtualMachine) -> bool:
    from provisioner.lifecycle.virtual_machine.goal import Goal, goal

    return goal(vm) is Goal.DOWN


def _has_new_request(vm: VirtualMachine) -> bool:
    return vm.metadata.annotations.get(REQUEST_ANNOTATION, "") != vm.status.handled_request


def _holds(resource: Resource, condition: str) -> bool:
    found = find_condition(resource.status.conditions, condition)
    return found is not None and found.status == "True"


def is_current(resource: Resource) -> bool:
    """Whether its status is about its present spec."""
    return bool(resource.status.observed_generation >= resource.metadata.generation)
