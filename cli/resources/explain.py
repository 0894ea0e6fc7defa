"""`hikube explain`: the placement of a VM, host by host, and its hardware, choice by choice, by the planner itself; a quota."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.machines import machine
from cli.options import NAMELESS, NamelessOutput, Namespace, output_format
from cli.output import as_json, as_yaml, put
from cli.quota import WORD, explain_quota
from cli.session import Session
from provisioner.model.errors import InvalidInput
from provisioner.model.kinds import find_words

if TYPE_CHECKING:
    from provisioner.model.virtual_machine import VirtualMachine

EXPLAINED = ("VirtualMachine", "VMInstance", WORD)


def explain(
    kind: Annotated[str, typer.Argument(metavar="vm|quota", help="vm, vmi or quota, or vm/NAME")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The VM, or the quota")] = "",
    namespace: Namespace = "default",
    hardware: Annotated[
        bool, typer.Option("--hardware", help="Say which hardware the guest gets, and why, choice by choice")
    ] = False,
    output: NamelessOutput = "table",
) -> None:
    """Say why a VM is where it is, or why it is nowhere: what it asks for, and what every host answers.

    Of a quota: how much of it is used, by whom, and which hosts it leaves to its namespace.
    """
    form = output_format(output, allowed=NAMELESS)
    if "/" not in kind and not name:
        raise InvalidInput("which one?", hint="hikube explain vm NAME, or hikube explain quota NAME")
    word, _, slashed = kind.partition("/")
    if find_words(word).kind not in EXPLAINED:
        raise InvalidInput(f"only VMs and quotas are explained, not {word}", context={"allowed": ["vm", "vmi", "quota"]})
    session = Session()
    if find_words(word).kind == WORD:
        explain_quota(session, slashed or name, namespace, form=form)
        return
    vm = machine(session, f"{word}/{slashed or name}" if word.lower() != "vm" else slashed or name, namespace)
    if hardware:
        _explain_hardware(session, vm, form=form)
        return
    from cli.planning import explanation_of
    from cli.render.conditions import in_order
    from cli.render.resources import machine_status
    from provisioner.model.metadata import Condition

    explanation = explanation_of(session, vm)
    unmet: list[Condition] = [condition for condition in vm.status.conditions if condition.status == "False"]
    if form != "table":
        value = explanation.as_dict() | {"pending": [condition.as_json() for condition in unmet]}
        put(as_json(value) if form == "json" else as_yaml(value))
        return
    lines = [f"{vm.key} is {machine_status(vm.as_json())}", *explanation.lines()]
    lines += [f"pending: {_words(each)}" for each in in_order(condition.as_json() for condition in unmet)]
    put("".join(f"{line}\n" for line in lines))


def _words(condition: Mapping[str, Any]) -> str:
    return ": ".join(filter(None, (condition["type"], condition["reason"], condition.get("message", ""))))


def _explain_hardware(session: Session, vm: VirtualMachine, *, form: str) -> None:
    from cli.planning import hardware_of

    found = hardware_of(session, vm)
    if form != "table":
        put(as_json(found.as_dict()) if form == "json" else as_yaml(found.as_dict()))
        return
    put("".join(f"{line}\n" for line in found.lines(str(vm.key))))
