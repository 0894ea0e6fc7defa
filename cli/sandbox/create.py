"""`hikube sandbox create`: simulated hosts in the store, and images that nobody has to download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from cli.adding import add_host, add_image
from cli.applying import Applied, Verb
from cli.options import NARROW, UNCHANGED_EXIT_CODE, ErrorUnchanged, NarrowOutput, output_format
from cli.output import as_json, as_list, as_yaml, put, say
from cli.places import has_store
from cli.render.table import table
from cli.sandbox.premises import handles, is_of_sandbox, sandbox_dir, sandbox_hosts, state_file, uri_of
from cli.session import Session
from provisioner.model.errors import AlreadyExists, Conflict, InvalidInput
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Resource, find_condition
from provisioner.planning.refusals import counted

if TYPE_CHECKING:
    from provisioner.drivers.simulated.ready_fleets import ReadyHost

SETTLE_TIMEOUT_S = 60.0
"""Simulated hosts take a fraction of a second; a busy machine may take longer."""
DEFAULT_PRESET = "zone"


def create(
    preset: Annotated[
        str,
        typer.Option("--preset", metavar="NAME", help="zone (8 L40S, one of them dead; 8 H100), rack (32 H100), l40s (one)"),
    ] = DEFAULT_PRESET,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which hosts would be made; change nothing")] = False,
    output: NarrowOutput = "table",
    error_unchanged: ErrorUnchanged = False,
) -> int:
    """Make a simulated fleet, which every hikube command works with, without a GPU, libvirt or root.

    Its hosts are files below the data folder, and hosts like any others to hikube: the same control loop, the same checks.
    Images of the usual names are there and need no download. Making it again changes nothing. A store that has real hosts gets
    no sandbox: HIKUBE_DATA_DIR=/some/other/folder gives it a store of its own.
    """
    form = output_format(output, allowed=NARROW)
    wanted = _fleet_named(preset)
    session = Session()
    _refuse_beside_others(session, wanted, preset)
    if dry_run:
        _print_plan(wanted, form)
        return 0
    is_new = _add_images(session)
    _break_what_is_broken(wanted)
    added = _add_hosts(session, wanted)
    is_new |= any(each.verb is not Verb.UNCHANGED for each in added)
    _print(session, form, is_new=is_new)
    return UNCHANGED_EXIT_CODE if error_unchanged and not is_new else 0


def _fleet_named(preset: str) -> Sequence[ReadyHost]:
    from provisioner.drivers.simulated.ready_fleets import READY_FLEETS

    if preset not in READY_FLEETS:
        raise InvalidInput(f"there is no preset {preset!r} of a sandbox", context={"allowed": list(READY_FLEETS)})
    return READY_FLEETS[preset]


def _refuse_beside_others(session: Session, wanted: Sequence[ReadyHost], preset: str) -> None:
    if not has_store():
        return
    others = [item["metadata"]["name"] for item in session.raw("GPUHost") if not is_of_sandbox(item)]
    if others:
        raise Conflict(
            "the store has hosts that are not of a sandbox",
            why=f"{', '.join(sorted(others)[:5])}: real and simulated VMs would be mixed",
            hint="a store of its own keeps them apart: export HIKUBE_DATA_DIR=$HOME/hikube-sandbox, then again",
            context={"hosts": others},
        )
    there = {item["metadata"]["name"] for item in sandbox_hosts(session)}
    if there - {host.name for host in wanted}:
        raise AlreadyExists(
            "there is another sandbox already",
            why=f"it has {', '.join(sorted(there))}; preset {preset} has {', '.join(host.name for host in wanted)}",
            hint="`hikube sandbox delete` makes room",
        )


def _add_images(session: Session) -> bool:
    """A stand-in for every built-in image that has no namesake in the store; whether any was new."""
    from provisioner.drivers.simulated.images import SimulatedImages
    from provisioner.drivers.simulated.sandbox import file_fleet

    known = {item["metadata"]["name"] for item in session.raw("Image")}
    files = SimulatedImages(sandbox_dir() / "images", world=file_fleet().world)
    new = {name: image for name, image in session.tables.images.items() if name not in known}
    for name, image in new.items():
        local = files.fetch(image.spec.url)
        facts = {"url": local.path.as_uri(), "sha256": local.sha256, "format": local.format}
        add_image(session, name, spec={**image.as_json()["spec"], **facts})
    if new:
        say(f"  ok   images     {len(new)} that stand for the built-in ones: nothing is downloaded")
    return bool(new)


def _break_what_is_broken(wanted: Sequence[ReadyHost]) -> None:
    """What is wrong from the first day is so before hikube looks; a host that is there keeps what was mended."""
    from provisioner.drivers.simulated.sandbox import file_fleet

    fleet = file_fleet()
    for host in wanted:
        if not state_file(host.name).exists():
            for address in host.dead_gpus:
                fleet.at(uri_of(host.name, preset=host.preset)).die(address)


def _add_hosts(session: Session, wanted: Sequence[ReadyHost]) -> list[Applied]:
    """Store them, and wait until they were looked at; one that is there and known is left alone, whatever befell it."""
    known = {item["metadata"]["name"] for item in sandbox_hosts(session) if item.get("status", {}).get("lastSeen")}
    added = []
    for host in wanted:
        if host.name not in known:
            spec = {"uri": uri_of(host.name, preset=host.preset)}
            added.append(add_host(session, host.name, spec=spec, labels=host.labels, probe=False))
    _wait_until_ready(session, added)
    return added


def _wait_until_ready(session: Session, added: Sequence[Applied]) -> None:
    """One line for each host, once the control loop has found it in order."""
    from cli.goals import settled
    from cli.waiting import Wait

    targets = [replace(settled(each.resource), news=_Arrivals().of) for each in added]
    if targets:
        Wait(session, targets, timeout_s=SETTLE_TIMEOUT_S).run()


class _Arrivals:
    """Tells once of one host that it is ready."""

    def __init__(self) -> None:
        self._told = False

    def of(self, found: Resource) -> Sequence[str]:
        """What is new."""
        ready = find_condition(found.status.conditions, "Ready")
        if self._told or not isinstance(found, GPUHost) or ready is None or ready.status != "True":
            return ()
        self._told = True
        errors = sum(finding.severity == "error" for finding in found.status.findings)
        trouble = f", {counted(errors, 'error')}: hikube host doctor {found.metadata.name}" if errors else ""
        return (f"  ok   {found.metadata.name:<10} {counted(len(found.status.gpus), 'GPU')}{trouble}",)


def _print_plan(wanted: Sequence[ReadyHost], form: str) -> None:
    if form == "name":
        put("".join(f"gpuhost/{host.name}\n" for host in wanted))
    elif form in ("json", "yaml"):
        value = as_list({"name": host.name, "preset": host.preset, "labels": dict(host.labels)} for host in wanted)
        put(as_json(value) if form == "json" else as_yaml(value))
    else:
        put(table(["HOST", "PRESET", "LABELS"], [[host.name, host.preset, _labels(host)] for host in wanted]))


def _labels(host: ReadyHost) -> str:
    return ",".join(f"{name}={value}" for name, value in host.labels.items())


def _print(session: Session, form: str, *, is_new: bool) -> None:
    from cli.fleets import host_views
    from cli.render.hosts import host_json, hosts_table

    names = set(handles(session))
    views = [view for view in host_views(session) if view.name in names]
    if not is_new:
        say("the sandbox is there already")
    if form == "name":
        put("".join(f"gpuhost/{view.name}\n" for view in views))
    elif form in ("json", "yaml"):
        value = as_list(host_json(view) for view in views)
        put(as_json(value) if form == "json" else as_yaml(value))
    else:
        put(hosts_table(views, now_s=session.now_s, wide=False))
    say("  next:    hikube gpu offers")
    say("  delete:  hikube sandbox delete")
