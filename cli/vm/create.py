"""`hikube gpu vm create`: a VirtualMachine from options, through the same door as YAML, until it has proven its GPUs."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.applying import Applied, Verb, create_resource
from cli.completing import complete_gpus, complete_images, complete_instance_types
from cli.documents import from_options
from cli.options import (
    UNCHANGED_EXIT_CODE,
    DryRun,
    ErrorUnchanged,
    Namespace,
    Output,
    Timeout,
    Wait,
    Yes,
    duration_s,
    output_format,
)
from cli.output import as_json, as_yaml, put, say
from cli.session import Session
from cli.vm.capacity import Patience, refuse_if_hopeless
from cli.vm.wishes import Wishes, document_of
from provisioner.model.virtual_machine import VirtualMachine


def create(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="What to call the VM")] = "",
    gpu: Annotated[
        list[str],
        typer.Option(
            "--gpu", metavar="MODEL[:COUNT]", help="GPUs, such as l40s or h100:2; repeatable", autocompletion=complete_gpus
        ),
    ] = [],  # noqa: B006 - typer copies it
    image: Annotated[
        str, typer.Option("--image", metavar="NAME", help="Image to boot from", autocompletion=complete_images)
    ] = "",
    instance_type: Annotated[
        str,
        typer.Option(
            "--instance-type", metavar="TYPE", help="Size by name, such as u1.xlarge", autocompletion=complete_instance_types
        ),
    ] = "",
    cpu: Annotated[str, typer.Option("--cpu", metavar="N", help="vCPUs, instead of the instance type's")] = "",
    memory: Annotated[
        str, typer.Option("--memory", metavar="SIZE", help="Memory such as 16Gi, instead of the instance type's")
    ] = "",
    disk_size: Annotated[str, typer.Option("--disk-size", metavar="SIZE", help="Size of the system disk")] = "",
    ssh_key: Annotated[
        list[str],
        typer.Option("--ssh-key", metavar="FILE", help="Public keys that may log in; your own if not given; repeatable"),
    ] = [],  # noqa: B006
    cloud_init: Annotated[
        str, typer.Option("--cloud-init", metavar="FILE", help="User-data for cloud-init, used byte for byte")
    ] = "",
    host_selector: Annotated[
        list[str], typer.Option("--host-selector", metavar="KEY=VALUE", help="Labels that the host must have; repeatable")
    ] = [],  # noqa: B006
    external_port: Annotated[
        list[str], typer.Option("--external-port", metavar="PORT", help="Ports to be reached from outside; repeatable")
    ] = [],  # noqa: B006
    label: Annotated[list[str], typer.Option("--label", metavar="KEY=VALUE", help="Labels of the VM; repeatable")] = [],  # noqa: B006
    namespace: Namespace = "default",
    queue: Annotated[bool, typer.Option("--queue", help="Wait for capacity where there is none now")] = False,
    wait: Wait = True,
    timeout: Timeout = "30m",
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = "table",
    error_unchanged: ErrorUnchanged = False,
) -> int:
    """Create a GPU VM and wait until it has proven its GPUs.

    With options it never asks. Without any, on a terminal, it offers what is free and asks. Creating the same VM again changes
    nothing and goes on waiting. Ctrl-C detaches: the VM stays, and the way back is printed. Where no host can take the VM, nothing
    is stored (exit 6) unless --queue is given.
    """
    form = output_format(output, allowed=("table", "json", "yaml", "name"))
    limit_s = duration_s(timeout)
    session = Session()
    wishes = Wishes(
        name=name,
        namespace=namespace,
        gpus=tuple(gpu),
        image=image,
        instance_type=instance_type,
        cpu=cpu,
        memory=memory,
        disk_size=disk_size,
        ssh_key_files=tuple(ssh_key),
        cloud_init_file=cloud_init,
        host_selector=tuple(host_selector),
        external_ports=tuple(external_port),
        labels=tuple(label),
    )
    is_asked = wishes.say_nothing
    if is_asked:
        from cli.vm.interview import interview

        wishes = interview(session, wishes)
    vm = from_options(session, document_of(session, wishes))
    assert isinstance(vm, VirtualMachine)
    if dry_run:
        from cli.planning import print_dry_run

        return print_dry_run(session, [vm], form=form)
    if session.find(vm.key) is None:
        refuse_if_hopeless(session, vm, queues=queue)
        if is_asked and not yes:
            _make_sure()
    done = create_resource(session.store, vm)
    say(f"virtualmachine/{vm.metadata.name} {done.verb}")
    if wait:
        Patience(session, done, queues=queue, timeout_s=limit_s).run()
    _print(session, done, form, waited=wait)
    return UNCHANGED_EXIT_CODE if error_unchanged and done.verb is Verb.UNCHANGED else 0


def _make_sure() -> None:
    from cli.asking import agrees

    if not agrees("Create?"):
        say("nothing was created")
        raise typer.Exit(0)


def _print(session: Session, done: Applied, form: str, *, waited: bool) -> None:
    vm = session.find(done.resource.key) or done.resource
    assert isinstance(vm, VirtualMachine)
    name = vm.metadata.name
    if form in ("json", "yaml"):
        put(as_json(vm.as_json()) if form == "json" else as_yaml(vm.as_json()))
    elif form == "name":
        put(f"virtualmachine/{name}\n")
    else:
        where = f" {vm.status.host} {vm.status.address or '<none>'}" if vm.status.host else ""
        put(f"{name} {vm.status.phase.value}{where}\n")
    scope = "" if vm.metadata.namespace == "default" else f" -n {vm.metadata.namespace}"
    if waited:
        say(f"  log in:  hikube gpu vm ssh {name}{scope}")
        say(f"  logs:    hikube gpu vm logs {name}{scope}")
        say(f"  delete:  hikube gpu vm delete {name}{scope}")
    elif session.controller_lock().holder() is None:
        say(f"no control loop is running: `hikube controller`, or `hikube wait vm/{name}{scope}`, goes on")
