"""What `hikube wait --for` may say: `delete`, a condition, or a phase, of words that the object's kind knows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cli.goals import gone, is_current, raise_if_hopeless
from cli.session import MACHINE_KINDS
from cli.waiting import Check, Target
from provisioner.model.errors import InvalidInput, NotFound
from provisioner.model.metadata import Key, Resource, find_condition
from provisioner.model.suggestions import nearest

STATUSES = ("True", "False", "Unknown")
DISK_PHASES = ("Pending", "Bound", "Ready", "Failed", "Deleting")
OF_MACHINES = ("HostReachable", "GPUHealthy", "Published", "RestartRequired", "CleanedUp")
OF_DISKS = ("Grown", "CleanedUp")
OF_QUOTAS = ("WithinQuota",)
"""Conditions that no step sets."""
_FOR = re.compile(r"(?:(?P<what>condition|phase)=)?(?P<name>[A-Za-z]+)(?:=(?P<value>[A-Za-z]+))?")


def asked_for(key: Key, text: str) -> Target:
    """The wait that `--for` describes: `delete`, `condition=X[=Status]`, `phase=X`, or `X` alone for a condition.

    Raises:
        InvalidInput: it cannot be understood, or objects of that kind never have that condition or phase.
    """
    if text == "delete":
        return gone(key)
    match = _FOR.fullmatch(text)
    if match is None or (match["what"] == "phase" and match["value"]):
        raise InvalidInput(
            f"--for={text} cannot be understood",
            hint="--for=condition=Ready, --for=condition=Ready=False, --for=phase=Stopped, --for=delete",
        )
    if match["what"] == "phase":
        phase = _known(text, match["name"], phases_of(key.kind), a_kind_has=f"a {key.kind} is never in phase")
        return Target(key, _phase_is(key, phase), phase)
    name = _known(text, match["name"], conditions_of(key.kind), a_kind_has=f"a {key.kind} has no condition")
    status = _known(text, match["value"] or "True", STATUSES, a_kind_has="a condition is never")
    return Target(key, _condition_is(key, name, status), name)


def conditions_of(kind: str) -> tuple[str, ...]:
    """Every type of condition that objects of this kind may have, in the order of the steps; none if nothing acts on them."""
    from provisioner.lifecycle.gpu_claim.table import GPU_CLAIM
    from provisioner.lifecycle.gpu_hosts import GPU_HOST
    from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
    from provisioner.lifecycle.vm_disks import VM_DISK

    if kind in MACHINE_KINDS:
        return (*(step.sets for step in VIRTUAL_MACHINE.steps), *OF_MACHINES)
    if kind == "GPUHost":
        return (*(step.sets for step in GPU_HOST.steps), "Ready")
    if kind == "GPUQuota":
        return OF_QUOTAS
    if kind == "GPUClaim":
        return (*(step.sets for step in GPU_CLAIM.steps), "InstanceGone")
    return (*(step.sets for step in VM_DISK.steps), *OF_DISKS) if kind == "VMDisk" else ()


def phases_of(kind: str) -> tuple[str, ...]:
    """Every phase that objects of this kind may be in."""
    from provisioner.model.virtual_machine import Phase

    if kind in MACHINE_KINDS:
        return tuple(phase.value for phase in Phase)
    return DISK_PHASES if kind == "VMDisk" else ()


def _known(text: str, word: str, words: Sequence[str], *, a_kind_has: str) -> str:
    """The word as it is written in objects, in whatever case it was typed."""
    for each in words:
        if each.lower() == word.lower():
            return each
    meant = nearest(word, words)
    raise InvalidInput(
        f"--for={text}: {a_kind_has} {word}",
        hint=f"did you mean {meant}?" if meant else "" if words else "it can be waited for with --for=delete only",
        context={"allowed": list(words)},
    )


def _condition_is(key: Key, name: str, status: str) -> Check:
    def check(resource: Resource | None) -> bool:
        found = find_condition(_existing(key, resource).status.conditions, name)
        assert resource is not None
        if found is not None and found.status == status and is_current(resource):
            return True
        if status == "True":
            raise_if_hopeless(resource)
        return False

    return check


def _phase_is(key: Key, phase: str) -> Check:
    def check(resource: Resource | None) -> bool:
        found = _existing(key, resource)
        if str(getattr(found.status, "phase", "")) == phase:
            return True
        if phase != "Failed":
            raise_if_hopeless(found)
        return False

    return check


def _existing(key: Key, resource: Resource | None) -> Resource:
    if resource is None:
        raise NotFound(f"{key} does not exist", hint="it was deleted while waiting for it")
    return resource
