"""start, stop and restart of `subresources.kubevirt.io/v1`: what they change, and what they refuse. Pure.

They change the spec (Always, Halted, Once, `running`) or leave requests in the status (Manual, RerunOnFailure, restarts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.kubernetes.kubevirt.fields import Document, at, uid_of
from tests.kubernetes.kubevirt.instance_status import is_final
from tests.kubernetes.kubevirt.run_strategy import strategy_of

VERBS = ("start", "stop", "restart")
BY_REQUEST = frozenset({"Manual", "RerunOnFailure"})


@dataclass(frozen=True, slots=True)
class Answer:
    """202 with what is to be written, or a refusal."""

    code: int = 202
    message: str = ""
    spec: Document | None = None
    requests: tuple[Document, ...] = ()
    is_forced: bool = False

    def status(self) -> Document:
        reason = {404: "NotFound", 409: "Conflict", 400: "BadRequest"}.get(self.code, "")
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": reason,
            "code": self.code,
        }


def answer(verb: str, name: str, *, machine: Document | None, instance: Document | None, options: Document) -> Answer:
    """Args: verb: one of VERBS; options: the body, empty where there is none."""
    if machine is None:
        return Answer(404, f'virtualmachine.kubevirt.io "{name}" not found')
    running = instance if instance is not None and not is_final(instance) else None
    if verb == "start":
        return _start(machine, instance, running, options)
    if verb == "stop":
        return _stop(machine, running)
    return _restart(machine, running, options)


def _start(machine: Document, instance: Document | None, running: Document | None, options: Document) -> Answer:
    strategy = strategy_of(machine)
    if running is not None:
        return _conflict(machine, "VM is already running")
    if strategy in ("Always", "Once"):
        return _conflict(machine, f"{strategy} does not support manual start requests")
    start: Document = {"action": "Start"} | ({"data": {"paused": "true"}} if options.get("paused") else {})
    if strategy in BY_REQUEST:
        return Answer(requests=(*(_stop_of(instance) if instance is not None else ()), start))
    return Answer(spec=_spec(machine, runs=True))


def _stop(machine: Document, running: Document | None) -> Answer:
    strategy = strategy_of(machine)
    if running is None and strategy not in ("Always", "Once"):
        return _conflict(machine, "VM is not running")
    if strategy in BY_REQUEST and running is not None:
        return Answer(requests=_stop_of(running))
    return Answer(spec=_spec(machine, runs=False))


def _restart(machine: Document, running: Document | None, options: Document) -> Answer:
    grace: Any = options.get("gracePeriodSeconds")
    if grace:
        return Answer(400, "For force restart, only gracePeriod=0 is supported for now")
    strategy = strategy_of(machine)
    if strategy == "Once":
        return _conflict(machine, "RunStategy Once does not support manual restart requests")
    if running is None:
        return _conflict(machine, f"VM is not running: {strategy}")
    return Answer(requests=(*_stop_of(running), {"action": "Start"}), is_forced=grace == 0)


def _stop_of(instance: Document) -> tuple[Document, ...]:
    return ({"action": "Stop", "uid": uid_of(instance)},)


def _spec(machine: Document, *, runs: bool) -> Document:
    if at(machine, "spec", "running") is not None:
        return {"running": runs}
    return {"runStrategy": "Always" if runs else "Halted"}


def _conflict(machine: Document, why: str) -> Answer:
    name = machine["metadata"]["name"]
    return Answer(409, f'Operation cannot be fulfilled on virtualmachine.kubevirt.io "{name}": {why}')
