"""`hikube apply`: from YAML to the store, and on request until everything is as it says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.applying import Applied, Verb, in_order, put_resource, refuse_unreconciled
from cli.documents import read_resources
from cli.external import warn_of_external
from cli.options import (
    NARROW,
    UNCHANGED_EXIT_CODE,
    DryRun,
    ErrorUnchanged,
    Files,
    Namespace,
    NarrowOutput,
    Recursive,
    Timeout,
    duration_s,
    output_format,
)
from cli.output import as_json, as_list, as_yaml, put, say
from cli.session import Session
from cli.storage_classes import warn_of_classes
from cli.vm.keys import keys_from
from provisioner.model.errors import InvalidInput
from provisioner.model.metadata import Resource

SshKeys = Annotated[
    list[str],
    typer.Option("--ssh-key", metavar="FILE", help="Public keys for the VMs that name none themselves; repeatable"),
]
ApplyWait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until everything is ready")]


def apply(
    filename: Files,
    recursive: Recursive = False,
    namespace: Namespace = "default",
    wait: ApplyWait = False,
    timeout: Timeout = "30m",
    ssh_key: SshKeys = [],  # noqa: B006 - typer copies it
    dry_run: DryRun = False,
    error_unchanged: ErrorUnchanged = False,
    output: NarrowOutput = "table",
) -> int:
    """Create or change what YAML files describe.

    With --wait, runs the control loop in this process unless another one runs it, and ends when everything is ready (exit 0),
    as soon as something has failed for good (9, or 10 if something is left behind), or when the time is up (8). VMs that wait
    for capacity go on waiting.
    """
    form = output_format(output, allowed=NARROW)
    limit_s = duration_s(timeout)
    session = Session()
    resources = in_order(read_resources(session, filename, recursive=recursive, namespace=namespace))
    if not resources:
        raise InvalidInput("no documents to apply", context={"files": list(filename)})
    refuse_unreconciled(resources)
    if ssh_key:
        resources = with_keys(resources, keys_from(ssh_key, home=Path.home()).lines)
    warn_of_classes(session, resources)
    warn_of_external(session, resources)
    if dry_run:
        from cli.planning import print_dry_run

        return print_dry_run(session, resources, form=form)
    applied = [_apply_one(session, resource, form) for resource in resources]
    if wait:
        _wait(session, applied, limit_s)
    else:
        _say_who_acts(session, applied)
    if form in ("json", "yaml"):
        now = [session.find(each.resource.key) or each.resource for each in applied]
        value = as_list(resource.as_json() for resource in now)
        put(as_json(value) if form == "json" else as_yaml(value))
    unchanged = all(each.verb is Verb.UNCHANGED for each in applied)
    return UNCHANGED_EXIT_CODE if error_unchanged and unchanged else 0


def with_keys(resources: tuple[Resource, ...], lines: tuple[str, ...]) -> tuple[Resource, ...]:
    """The resources, with these SSH keys in every VM that names none.

    Raises:
        InvalidInput: a line is no public key.
    """
    from provisioner.model.virtual_machine import VirtualMachine

    def changed(resource: Resource) -> Resource:
        if not isinstance(resource, VirtualMachine) or resource.spec.ssh_keys:
            return resource
        return resource.model_copy(update={"spec": resource.spec.model_copy(update={"ssh_keys": lines})})

    return tuple(changed(resource) for resource in resources)


def _apply_one(session: Session, wanted: Resource, form: str) -> Applied:
    done = put_resource(session.store, wanted)
    name = f"{wanted.kind.lower()}/{wanted.metadata.name}"
    if form in ("table", "name"):
        put(f"{name}\n" if form == "name" else f"{name} {done.verb}\n")
    return done


def _wait(session: Session, applied: list[Applied], limit_s: float) -> None:
    from cli.goals import settled
    from cli.waiting import Wait

    Wait(session, [settled(each.resource) for each in applied], timeout_s=limit_s).run()
    for each in applied:
        say_what_a_restart_would_change(session, each.resource.key)


def say_what_a_restart_would_change(session: Session, key: object) -> None:
    """Tell when a running VM does not have its new spec yet."""
    from provisioner.model.metadata import Key, find_condition

    assert isinstance(key, Key)
    resource = session.find(key)
    found = find_condition(resource.status.conditions, "RestartRequired") if resource is not None else None
    if found is not None and found.status == "True":
        say(f"{key} takes its new spec on restart: {found.message}")
        say(f"  restart now:  hikube gpu vm restart {key.name}")


def _say_who_acts(session: Session, applied: list[Applied]) -> None:
    if any(each.verb is not Verb.UNCHANGED for each in applied) and session.controller_lock().holder() is None:
        say("no control loop is running: `hikube controller` runs one, and --wait runs one until everything is ready")
