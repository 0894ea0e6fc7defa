"""When a wait is over, per kind and wish; and which states can only end badly. Pure functions of one resource."""

from __future__ import annotations

import re

from cli.waiting import Check, Target
from provisioner.model.errors import Conflict, Failed, InvalidInput, NotFound, Stuck
from provisioner.model.metadata import Condition, Key, Resource, find_condition
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, Phase, VirtualMachine
from provisioner.model.vm_disk import VMDisk

_WAITS_FOR_OTHERS = ("WaitForFirstConsumer", "WaitingForUpload")
_FOR = re.compile(r"(?:(?P<what>condition|phase)=)?(?P<name>[A-Za-z]+)(?:=(?P<value>[A-Za-z]+))?")


def settled(resource: Resource) -> Target:
    """The wait for a resource to be as its spec says: Ready, or Stopped for a VM that shall not run."""
    if isinstance(resource, VirtualMachine):
        return Target(resource.key, machine_settled, "Stopped" if _shall_be_down(resource) else "Ready")
    return Target(resource.key, _ready_or_failed, "Ready")


def gone(key: Key, *, uid: str = "") -> Target:
    """The wait for an object to be gone, or to be another one of the same name."""

    def is_gone(resource: Resource | None) -> bool:
        if resource is None or (uid and resource.metadata.uid != uid):
            return True
        _raise_if_stuck(resource)
        return False

    return Target(key, is_gone, "deleted")


def machine_settled(resource: Resource | None) -> bool:
    """Whether the VM has become what its spec and its last request ask for.

    Raises:
        NotFound, Conflict: it is gone, or going.
        Failed, Stuck: it has given up.
    """
    vm = _still_wanted(resource)
    assert isinstance(vm, VirtualMachine)
    _raise_if_stuck(vm)
    if not _is_current(vm) or _has_new_request(vm):
        return False
    if vm.status.phase is Phase.FAILED:
        raise _failed(vm, vm.status.last_failure)
    if _shall_be_down(vm):
        return vm.status.phase is Phase.STOPPED
    return _holds(vm, "Ready")


def asked_for(resource_key: Key, text: str) -> Target:
    """The wait that `--for` describes: `delete`, `condition=X[=Status]`, `phase=X`, or `X` alone for a condition.

    Raises:
        InvalidInput: it cannot be understood.
    """
    if text == "delete":
        return gone(resource_key)
    match = _FOR.fullmatch(text)
    if match is None or (match["what"] == "phase" and match["value"]):
        raise InvalidInput(
            f"--for={text} cannot be understood",
            hint="--for=condition=Ready, --for=condition=Ready=False, --for=phase=Stopped, --for=delete",
        )
    if match["what"] == "phase":
        return Target(resource_key, _phase_is(match["name"]), match["name"])
    return Target(resource_key, _condition_is(match["name"], match["value"] or "True"), match["name"])


def _condition_is(name: str, status: str) -> Check:
    def check(resource: Resource | None) -> bool:
        if resource is None:
            raise NotFound("it does not exist", hint="a wait is for something that was created before")
        found = find_condition(resource.status.conditions, name)
        if found is not None and found.status.lower() == status.lower() and _is_current(resource):
            return True
        if status.lower() == "true":
            _raise_if_hopeless(resource)
        return False

    return check


def _phase_is(phase: str) -> Check:
    def check(resource: Resource | None) -> bool:
        if resource is None:
            raise NotFound("it does not exist", hint="a wait is for something that was created before")
        now = str(getattr(resource.status, "phase", ""))
        if now.lower() == phase.lower():
            return True
        if phase != Phase.FAILED:
            _raise_if_hopeless(resource)
        return False

    return check


def _ready_or_failed(resource: Resource | None) -> bool:
    """Whether a disk, a host or an image is ready, or waits for something that nobody does while we wait."""
    found = _still_wanted(resource)
    if not hasattr(found.status, "phase") and found.kind not in ("GPUHost",):
        return True  # nothing acts on it
    _raise_if_hopeless(found)
    ready = find_condition(found.status.conditions, "Ready")
    if isinstance(found, VMDisk) and ready is not None and ready.reason in _WAITS_FOR_OTHERS:
        return True
    return _holds(found, "Ready") and _is_current(found)


def _still_wanted(resource: Resource | None) -> Resource:
    if resource is None:
        raise NotFound("it was deleted while waiting for it")
    if resource.is_being_deleted:
        raise Conflict(f"{resource.key} is being deleted", hint="nothing more will become of it; wait for its deletion instead")
    return resource


def _raise_if_hopeless(resource: Resource) -> None:
    _raise_if_stuck(resource)
    phase = str(getattr(resource.status, "phase", ""))
    if phase == Phase.FAILED and _is_current(resource):
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


def _is_current(resource: Resource) -> bool:
    return bool(resource.status.observed_generation >= resource.metadata.generation)
