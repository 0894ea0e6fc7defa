"""`hikube disk upload`: the control loop prepares the place, this process sends the file, and the loop finishes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.disk.making import print_disk
from cli.disk.naming import Host, Name, disk_of
from cli.meter import Meter
from cli.options import (
    NARROW,
    UNCHANGED_EXIT_CODE,
    DryRun,
    ErrorUnchanged,
    Namespace,
    NarrowOutput,
    Timeout,
    Wait,
    duration_s,
    output_format,
)
from cli.output import put, say
from cli.patching import patch
from cli.session import Session
from provisioner.model.errors import Conflict, InvalidInput
from provisioner.model.metadata import Resource
from provisioner.model.vm_disk import HOST_ANNOTATION, UPLOADED_ANNOTATION, VMDisk

if TYPE_CHECKING:
    from provisioner.drivers.images.uploads import UploadFile

PLACE_TIMEOUT_S = 120.0
"""For the control loop to note host and pool, which needs one call to the host."""


def upload(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A qcow2, raw or ISO file of this machine")],
    host: Host = "",
    namespace: Namespace = "default",
    dry_run: DryRun = False,
    wait: Wait = True,
    timeout: Timeout = "10m",
    output: NarrowOutput = "table",
    error_unchanged: ErrorUnchanged = False,
) -> int:
    """Send a file into a disk that was made with --upload (`source: {upload: {}}`).

    The file is checked first: its format, its size against the disk's, and that it names no other file. An upload that
    breaks off leaves nothing that looks complete: the same command again goes on from there. The same file once more changes
    nothing; another file for a disk that has its content is a conflict (exit 5).
    """
    from provisioner.drivers.images.uploads import UploadFile
    from provisioner.lifecycle.vm_disk.uploading import refuse_misfit

    form = output_format(output, allowed=NARROW)
    limit_s = duration_s(timeout)
    session = Session()
    disk = disk_of(session, name, namespace)
    with UploadFile(file) as content:
        refuse_misfit(disk, content)
        if disk.status.volume:
            _refuse_another(disk, content)
            say(f"vmdisk/{disk.metadata.name} has this content already")
            return UNCHANGED_EXIT_CODE if error_unchanged else 0
        chosen = _host_for(session, disk, host)
        if dry_run:
            what = f"{file} ({content.format}, {content.size_bytes} bytes)"
            put(f"vmdisk/{disk.metadata.name}: {what} would go to host {chosen}\n")
            return 0
        digest = content.sha256()
        _send(session, _placed(session, disk, chosen), content, sha256=digest)
    patch(session, disk.key, lambda stored: _annotated(stored, UPLOADED_ANNOTATION, f"sha256:{digest} {file.name}"))
    _finish(session, disk, wait_s=limit_s if wait else None)
    print_disk(session, disk, form)
    return 0


def _finish(session: Session, disk: VMDisk, *, wait_s: float | None) -> None:
    from cli.awaited import asked_for
    from cli.waiting import Wait as Waiting

    if wait_s is not None:
        Waiting(session, [asked_for(disk.key, "condition=Ready")], timeout_s=wait_s).run()
    elif session.controller_lock().holder() is None:
        say(f"no control loop is running: `hikube controller`, or `hikube wait vmdisk/{disk.metadata.name}`, goes on")


def _refuse_another(disk: VMDisk, content: UploadFile) -> None:
    known = disk.status.origin.sha256 if disk.status.origin is not None else ""
    if not known or known != content.sha256():
        raise Conflict(
            f"VMDisk {disk.metadata.name} has its content already",
            why=f"sha256 {known}" if known else "nobody noted which",
            hint="another disk can take another file",
        )


def _host_for(session: Session, disk: VMDisk, asked: str) -> str:
    """The host that the disk is on or shall be on; the only one there is where nobody says."""
    known = [item["metadata"]["name"] for item in session.raw("GPUHost") if not item["spec"].get("cordoned", False)]
    if disk.home:
        if asked not in ("", disk.home):
            raise Conflict(f"VMDisk {disk.metadata.name} is on host {disk.home}", hint="leave --host out")
        return disk.home
    if asked or len(known) == 1:
        if asked and asked not in known:
            raise InvalidInput(f"--host {asked}: no such host that takes disks", context={"allowed": known})
        return asked or known[0]
    why = "there are several" if known else "there is none"
    raise InvalidInput(
        f"which host is VMDisk {disk.metadata.name} for?", why=why, hint="--host HOST", context={"allowed": known}
    )


def _placed(session: Session, disk: VMDisk, host: str) -> VMDisk:
    """The disk with its host and pool noted by the control loop, waiting for nothing but its content."""
    from cli.goals import raise_if_hopeless, still_wanted
    from cli.waiting import Target
    from cli.waiting import Wait as Waiting
    from provisioner.lifecycle.vm_disk.uploading import awaits_upload

    patch(session, disk.key, lambda stored: _annotated(stored, HOST_ANNOTATION, host))

    def is_over(now: Resource | None) -> bool:
        found = still_wanted(disk.key, now)
        raise_if_hopeless(found)
        assert isinstance(found, VMDisk)
        return awaits_upload(found)

    Waiting(session, [Target(disk.key, is_over, "waiting for its content")], timeout_s=PLACE_TIMEOUT_S).run()
    return disk_of(session, disk.metadata.name, disk.metadata.namespace)


def _send(session: Session, disk: VMDisk, content: UploadFile, *, sha256: str) -> None:
    from cli.planning import ports_of
    from provisioner.lifecycle.vm_disk.uploading import send

    meter = Meter("upload", content.path.name)
    try:
        send(disk, content, ports_of(session), sha256=sha256, progress=meter)
    finally:
        meter.end()


def _annotated(disk: Resource, name: str, value: str) -> Resource:
    return disk.with_metadata(annotations=disk.metadata.annotations | {name: value})
