"""What the VM controller does next, by `spec.runStrategy`, the instance and what was asked for. Pure.

strategy         no instance                        final instance                  instance that was asked to stop
Always           start, after the back-off          delete                          delete
RerunOnFailure   start if asked, or switched to     delete; Failed: ask to start    delete
Manual           start if asked                     leave                           delete
Once             start                              leave                           leave
Halted           nothing                            delete, as in any phase         delete
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from tests.kubernetes.kubevirt.back_off import left_s
from tests.kubernetes.kubevirt.fields import Document, at, is_deleting, items, uid_of
from tests.kubernetes.kubevirt.printable_status import FINAL


class Action(Enum):
    NOTHING = "nothing"
    START = "start"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Decision:
    """One step. `asks_to_start` puts a request to start into the status; `wait_s` says when to look again."""

    action: Action = Action.NOTHING
    asks_to_start: bool = False
    wait_s: float | None = None


NOTHING = Decision()


def strategy_of(machine: Document) -> str:
    """The run strategy, also of a VM that says `running`."""
    running = at(machine, "spec", "running")
    if running is not None:
        return "Always" if running else "Halted"
    return str(at(machine, "spec", "runStrategy", default="Halted"))


def decide(machine: Document, instance: Document | None, *, now: datetime) -> Decision:
    """The next step of a VM that is not being deleted."""
    strategy = strategy_of(machine)
    if instance is None:
        return _without_instance(machine, strategy, now)
    if is_deleting(instance):
        return NOTHING
    phase = at(instance, "status", "phase", default="")
    if strategy == "Halted":
        return Decision(Action.STOP)
    if strategy != "Once" and asked_to_stop(machine, instance):
        return Decision(Action.STOP)
    if phase in FINAL and strategy == "Always":
        return Decision(Action.STOP)
    if phase in FINAL and strategy == "RerunOnFailure":
        return Decision(Action.STOP, asks_to_start=phase == "Failed")
    return NOTHING


def asked_to_stop(machine: Document, instance: Document | None) -> bool:
    """Whether the first request is to stop this very instance."""
    first = _first_request(machine)
    return instance is not None and first.get("action") == "Stop" and first.get("uid") == uid_of(instance)


def asked_to_start(machine: Document) -> bool:
    return bool(_first_request(machine).get("action") == "Start")


def requests_left(machine: Document, instance: Document | None) -> list[Document]:
    """`status.stateChangeRequests` without a first one that is done."""
    requests = items(machine, "status", "stateChangeRequests")
    if not requests:
        return []
    stop_is_done = requests[0]["action"] == "Stop" and not asked_to_stop(machine, instance)
    start_is_done = requests[0]["action"] == "Start" and instance is not None
    return requests[1:] if stop_is_done or start_is_done else requests


def _without_instance(machine: Document, strategy: str, now: datetime) -> Decision:
    wanted = {
        "Always": True,
        "RerunOnFailure": asked_to_start(machine) or at(machine, "status", "runStrategy") != strategy,
        "Manual": asked_to_start(machine),
        "Once": True,
    }.get(strategy, False)
    if not wanted:
        return NOTHING
    wait_s = left_s(at(machine, "status", "startFailure"), now=now) if strategy in ("Always", "RerunOnFailure") else 0.0
    return Decision(wait_s=wait_s) if wait_s > 0 else Decision(Action.START)


def _first_request(machine: Document) -> Document:
    requests = items(machine, "status", "stateChangeRequests")
    return dict(requests[0]) if requests else {}
