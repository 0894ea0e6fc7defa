"""`hikube gpu vm create`: a VirtualMachine from options, through the same door as YAML, until it has proven its GPUs."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from cli.applying import Applied, Verb, create_resource
from cli.documents import from_options
from cli.external import warn_of_external
from cli.options import (
    NARROW,
    UNCHANGED_EXIT_CODE,
    DryRun,
    ErrorUnchanged,
    Namespace,
    NarrowOutput,
    Timeout,
    Wait,
    Yes,
    duration_s,
    output_format,
)
from cli.output import as_json, as_yaml, put, say
from cli.places import data_dir
from cli.session import Session
from cli.vm import create_options as options
from cli.vm.capacity import Patience, refuse_if_hopeless
from cli.vm.keys import ChosenKeys, make_keys
from cli.vm.mistakes import Mistakes
from cli.vm.wishes import Wishes, chosen_keys, document_of
from provisioner.model.virtual_machine import VirtualMachine


@dataclass(frozen=True, slots=True)
class Manner:
    """How to create, beside what."""

    form: str
    timeout_s: float
    queues: bool
    waits: bool
    is_dry_run: bool
    yes: bool


def create(
    name: options.NewName = "",
    gpu: options.Gpus = [],  # noqa: B006 - typer copies it, as all lists below
    image: options.Image = "",
    instance_type: options.InstanceType = "",
    cpu: options.Cpu = "",
    memory: options.Memory = "",
    disk_size: options.DiskSize = "",
    ssh_key: options.SshKeys = [],  # noqa: B006
    cloud_init: options.CloudInit = "",
    host_selector: options.HostSelector = [],  # noqa: B006
    external_port: options.ExternalPorts = [],  # noqa: B006
    label: options.Labels = [],  # noqa: B006
    namespace: Namespace = "default",
    queue: options.Queue = False,
    wait: Wait = True,
    timeout: Timeout = "30m",
    dry_run: DryRun = False,
    yes: Yes = False,
    output: NarrowOutput = "table",
    error_unchanged: ErrorUnchanged = False,
) -> int:
    """Create a GPU VM and wait until it has proven its GPUs.

    With options it never asks. Without any, on a terminal, it offers what is free and asks. Creating the same VM again
    changes nothing and goes on waiting. Ctrl-C detaches: the VM stays, and the way back is printed. Where no host can take
    the VM, nothing is stored (exit 6) unless --queue is given.
    """
    form = output_format(output, allowed=NARROW)
    manner = Manner(form, duration_s(timeout), queues=queue, waits=wait, is_dry_run=dry_run, yes=yes)
    size = (instance_type, cpu, memory, disk_size)
    lists = (tuple(ssh_key), tuple(host_selector), tuple(external_port), tuple(label))
    wishes = Wishes.of(name, namespace, gpus=tuple(gpu), image=image, size=size, cloud_init_file=cloud_init, lists=lists)
    verb = _create(Session(), wishes, manner)
    return UNCHANGED_EXIT_CODE if error_unchanged and verb is Verb.UNCHANGED else 0


def _create(session: Session, wishes: Wishes, manner: Manner) -> Verb | None:
    is_asked = wishes.say_nothing
    if is_asked:
        from cli.vm.interview import interview

        wishes = interview(session, wishes)
    vm, keys = _checked(session, wishes)
    warn_of_external(session, [vm])
    if manner.is_dry_run:
        from cli.planning import print_dry_run

        say(keys.said)
        print_dry_run(session, [vm], form=manner.form)
        return None
    if session.find(vm.key) is None:
        refuse_if_hopeless(session, vm, queues=manner.queues)
        if is_asked and not manner.yes:
            _make_sure()
        if keys.must_be_made:
            keys = make_keys(data_dir())
            vm = vm.model_copy(update={"spec": vm.spec.model_copy(update={"ssh_keys": keys.lines})})
        say(keys.said)
    done = create_resource(session.store, vm)
    say(f"virtualmachine/{vm.metadata.name} {done.verb}")
    if manner.waits:
        Patience(session, done, queues=manner.queues, timeout_s=manner.timeout_s).run()
    _print(session, done, manner)
    _say_what_next(session, done, keys, waits=manner.waits)
    return done.verb


def _checked(session: Session, wishes: Wishes) -> tuple[VirtualMachine, ChosenKeys]:
    """The VM that is asked for. Nothing is made or stored before all of it is known to be good."""
    mistakes = Mistakes()
    keys = ChosenKeys((), "")
    with mistakes.collected():
        keys = chosen_keys(wishes)
    vm = None
    document = document_of(session, wishes, keys, mistakes=mistakes)
    with mistakes.collected():
        vm = from_options(session, document)
    mistakes.raise_any()
    assert isinstance(vm, VirtualMachine)
    return vm, keys


def _make_sure() -> None:
    from cli.asking import REFUSED_EXIT_CODE, agrees

    if not agrees("Create?"):
        say("nothing was created")
        raise typer.Exit(REFUSED_EXIT_CODE)


def _print(session: Session, done: Applied, manner: Manner) -> None:
    vm = session.find(done.resource.key) or done.resource
    assert isinstance(vm, VirtualMachine)
    name = vm.metadata.name
    if manner.form in ("json", "yaml"):
        put(as_json(vm.as_json()) if manner.form == "json" else as_yaml(vm.as_json()))
    elif manner.form == "name":
        put(f"virtualmachine/{name}\n")
    else:
        where = f" {vm.status.host} {vm.status.address or '<none>'}" if vm.status.host else ""
        put(f"{name} {vm.status.phase.value}{where}\n")


def _say_what_next(session: Session, done: Applied, keys: ChosenKeys, *, waits: bool) -> None:
    metadata = done.resource.metadata
    scope = "" if metadata.namespace == "default" else f" -n {metadata.namespace}"
    if waits:
        if _has_ssh(session, done):
            identity = f" -i {keys.private}" if keys.private is not None else ""
            say(f"  log in:  hikube gpu vm ssh {metadata.name}{scope}{identity}")
        say(f"  logs:    hikube gpu vm logs {metadata.name}{scope}")
        say(f"  delete:  hikube gpu vm delete {metadata.name}{scope}")
    elif done.verb is not Verb.UNCHANGED and session.controller_lock().holder() is None:
        say(f"no control loop is running: `hikube controller`, or `hikube wait vm/{metadata.name}{scope}`, goes on")


def _has_ssh(session: Session, done: Applied) -> bool:
    """Whether there is a guest behind the VM: simulated hosts have none."""
    vm = session.find(done.resource.key)
    assert isinstance(vm, VirtualMachine | None)
    hosts = {item["metadata"]["name"]: item["spec"]["uri"] for item in session.raw("GPUHost")}
    return vm is not None and not hosts.get(vm.status.host, "").startswith("simulated:")
