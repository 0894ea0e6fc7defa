"""The status that the VM controller writes after a look: from the VM, its instance, what it has just done. Pure but for time.

Conditions are those of the instance, and three of the VM's own; where there is no instance, old copies stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.kubernetes.kubevirt import conditions
from tests.kubernetes.kubevirt.back_off import start_failure
from tests.kubernetes.kubevirt.conditions import NO_INSTANCE, NO_READY, OWN_OF_MACHINE, condition
from tests.kubernetes.kubevirt.fields import Document, at, items
from tests.kubernetes.kubevirt.printable_status import Seen, printable_status
from tests.kubernetes.kubevirt.run_strategy import requests_left, strategy_of

FIRST = "Stopped"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the instance could not be made."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Look:
    """One look of the controller at one VM."""

    machine: Document
    instance: Document | None
    start_expected: bool = False
    stop_expected: bool = False
    failure: Failure | None = None
    restart_required: str = ""
    asks_to_start: bool = False


def first_status(machine: Document) -> Document:
    """What is written before anything is done."""
    volumes = items(machine, "spec", "template", "spec", "volumes")
    return {
        "printableStatus": FIRST,
        "volumeSnapshotStatuses": [{"name": each["name"], "enabled": False, "reason": _snapshot(each)} for each in volumes],
    }


def next_status(look: Look, *, chance: Callable[[], float], scale: float) -> Document:
    """Args: chance: 0 to 1, asked when a back-off begins."""
    machine, instance = look.machine, look.instance
    status: Document = dict(machine.get("status") or {})
    strategy = strategy_of(machine)
    failed = start_failure(status.get("startFailure"), instance, strategy=strategy, spread=chance(), scale=scale)
    requests = requests_left(machine, instance)
    if look.asks_to_start and not any(each["action"] == "Start" for each in requests):
        requests = [*requests, {"action": "Start"}]
    held = items(instance, "status", "conditions")
    _set(status, "created", instance is not None)
    _set(status, "ready", conditions.has(held, "Ready", status=True))
    _set(status, "startFailure", failed)
    _set(status, "stateChangeRequests", requests)
    if instance is not None or not look.start_expected:
        status["runStrategy"] = strategy
    _set_generations(status, look)
    status["conditions"] = _conditions(look, status.get("conditions") or [])
    seen = Seen(machine, instance, strategy, look.start_expected, look.stop_expected, failed is not None)
    status["printableStatus"] = printable_status(seen)
    return status


def _set_generations(status: Document, look: Look) -> None:
    if look.instance is None:
        return
    status["desiredGeneration"] = look.machine["metadata"]["generation"]
    if not look.restart_required:
        status["observedGeneration"] = look.machine["metadata"]["generation"]


def _conditions(look: Look, before: list[Document]) -> list[Document]:
    kept = conditions.put(before, _ready(look))
    failed = condition("Failure", True, look.failure.reason, look.failure.message) if look.failure is not None else None
    kept = _own(kept, "Failure", failed)
    restart = condition("RestartRequired", True, "", look.restart_required) if look.restart_required else None
    kept = _own(kept, "RestartRequired", restart)
    if look.instance is None:
        return kept
    copied = [each for each in items(look.instance, "status", "conditions") if each["type"] not in OWN_OF_MACHINE]
    for each in copied:
        kept = conditions.put(kept, each)
    names = {each["type"] for each in copied} | OWN_OF_MACHINE
    return [each for each in kept if each["type"] in names]


def _ready(look: Look) -> Document:
    if look.instance is None:
        return condition("Ready", False, *NO_INSTANCE)
    held = conditions.find(items(look.instance, "status", "conditions"), "Ready")
    return dict(held) if held is not None else condition("Ready", False, *NO_READY)


def _own(kept: list[Document], kind: str, new: Document | None) -> list[Document]:
    return conditions.put(kept, new) if new is not None else conditions.without(kept, kind)


def _set(status: Document, field: str, value: Any) -> None:
    if value:
        status[field] = value
    else:
        status.pop(field, None)


def _snapshot(volume: Document) -> str:
    source = next((name for name in volume if name != "name"), "")
    if at(volume, "persistentVolumeClaim") or at(volume, "dataVolume"):
        return "Snapshot is not supported for this volumeSource type [" + source + "]"
    return f"Snapshot is not supported for this volumeSource type [{volume['name']}]"
