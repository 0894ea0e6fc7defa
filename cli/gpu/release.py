"""`hikube gpu release`: ask the control loop to check a GPU, and show what the check says, as it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli.gpu.naming import Gpu, GpuName, gpu_named
from cli.gpu.outcome import print_outcome
from cli.options import NARROW, UNCHANGED_EXIT_CODE, ErrorUnchanged, NarrowOutput, Timeout, Wait, duration_s, output_format
from cli.output import put, say
from cli.patching import patch
from cli.render.gpus import check_lines
from cli.session import Session
from provisioner.model.errors import Conflict, Failed
from provisioner.model.metadata import Key

if TYPE_CHECKING:
    from provisioner.model.gpu_check import CheckLine, GpuCheck
    from provisioner.model.gpu_host import GPUHost
    from provisioner.model.metadata import Resource

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only look, now and from here: nothing is reset, nothing is released")]


def release(
    gpu: Gpu,
    dry_run: DryRun = False,
    wait: Wait = True,
    timeout: Timeout = "20m",
    output: NarrowOutput = "table",
    error_unchanged: ErrorUnchanged = False,
) -> int:
    """Let a GPU out of quarantine, if it passes its check.

    It must be on the bus with its companions, answer, be in nobody's use and have a reset that works; it is taken to vfio-pci,
    reset, scrubbed if the host has a scrub command, and sent home to its drivers. A card that was swapped is accepted by this
    command. What fails keeps the GPU in quarantine, whoever asks.
    """
    form, limit_s = output_format(output, allowed=NARROW), duration_s(timeout)
    session = Session()
    name = gpu_named(session, gpu)
    host = host_of(session, name)
    if name.address in host.spec.retired:
        raise Conflict(f"GPU {name} is retired", hint=f"`hikube gpu retire --undo {name}` checks it and takes it back")
    if all(entry.address != name.address for entry in host.status.quarantined):
        print_outcome(name, "unchanged", form=form)
        return UNCHANGED_EXIT_CODE if error_unchanged else 0
    if dry_run:
        _try(session, name, host, form)
    else:
        check_and_release(session, name, form=form, wait_s=limit_s if wait else None)
    return 0


def host_of(session: Session, gpu: GpuName) -> GPUHost:
    """The GPU's host as it is stored now."""
    from provisioner.model.gpu_host import GPUHost

    found = session.find(Key("GPUHost", "", gpu.host))
    assert isinstance(found, GPUHost)
    return found


def check_and_release(session: Session, gpu: GpuName, *, form: str, wait_s: float | None) -> None:
    """Ask for the check; wait for its answer, and print it.

    Raises:
        Failed: it did not pass.
        StillPending: there is no answer yet.
    """
    request = _ask(session, gpu)
    if wait_s is None:
        print_outcome(gpu, "check requested" if form == "table" else "requested", form=form)
        if session.controller_lock().holder() is None:
            say("no control loop is running: `hikube controller`, or the same command with --wait, does it")
        return
    check = _await(session, gpu, request, wait_s)
    _raise_unless_passed(gpu, check.lines)
    print_outcome(gpu, "released", form=form, lines=check.lines)


def _ask(session: Session, gpu: GpuName) -> str:
    from provisioner.model.gpu_check import RELEASE, request_annotation

    request = f"{RELEASE}:{session.identifiers.token(8)}"

    def asked(host: Resource) -> Resource:
        return host.with_metadata(annotations=host.metadata.annotations | {request_annotation(gpu.address): request})

    patch(session, Key("GPUHost", "", gpu.host), asked)
    return request


def _await(session: Session, gpu: GpuName, request: str, timeout_s: float) -> GpuCheck:
    from cli.goals import still_wanted
    from cli.waiting import Target
    from cli.waiting import Wait as Waiting

    key, told = Key("GPUHost", "", gpu.host), 0

    def answer(host: Resource) -> GpuCheck | None:
        return next((each for each in host.status.checks if (each.address, each.request) == (gpu.address, request)), None)

    def news(host: Resource) -> Sequence[str]:
        nonlocal told
        check = answer(host)
        lines = check_lines([line.as_json() for line in check.lines[told:]]) if check is not None else []
        told += len(lines)
        return lines

    def is_over(host: Resource | None) -> bool:
        check = answer(still_wanted(key, host))
        return check is not None and check.state != "Running"

    way_back = f"hikube gpu release {gpu}"
    Waiting(session, [Target(key, is_over, f"done with GPU {gpu.address}", news, way_back)], timeout_s=timeout_s).run()
    check = answer(host_of(session, gpu))
    if check is None:
        raise Conflict(f"somebody else asked for another check of GPU {gpu}", hint=f"`hikube gpu show {gpu}` has its answer")
    return check


def _try(session: Session, gpu: GpuName, host: GPUHost, form: str) -> None:
    """Only the part that looks. Raises: Failed; HostUnreachable."""
    from cli.planning import ports_of
    from provisioner.lifecycle.gpu_release import look_at
    from provisioner.planning.gpu_release import reading_checks

    ports = ports_of(session)
    hypervisor = ports.connector.connect(host.spec.uri)
    lines = reading_checks(look_at(gpu.address, host=host, hypervisor=hypervisor, ports=ports))
    if form == "table":
        put("".join(f"{line}\n" for line in check_lines([line.as_json() for line in lines])))
    _raise_unless_passed(gpu, lines)
    if form == "table":
        say(f"{gpu} would be reset and released (dry run)")
    else:
        print_outcome(gpu, "fit", form=form, lines=lines)


def _raise_unless_passed(gpu: GpuName, lines: Sequence[CheckLine]) -> None:
    failures = [line for line in lines if not line.passed]
    if failures:
        is_in_use = [line.name for line in failures] == ["unclaimed"]
        what_first = "when nobody has it any more" if is_in_use else "repair what is named, then"
        raise Failed(
            f"GPU {gpu} did not pass its check, and stays in quarantine",
            why="\n".join(f"{line.name}: {line.message}" for line in failures),
            hint=f"{what_first} `hikube gpu release {gpu}` again; `hikube gpu retire {gpu}` gives it up",
            context={"checks": [line.as_json() for line in lines]},
        )
