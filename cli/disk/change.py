"""`hikube disk grow` and `delete`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.applying import put_resource
from cli.deleting import Removal, delete_all
from cli.disk.making import print_disk, wait_for
from cli.disk.naming import Name, Names, disk_of, key_of
from cli.options import (
    NARROW,
    UNCHANGED_EXIT_CODE,
    DryRun,
    ErrorUnchanged,
    IgnoreNotFound,
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
from provisioner.lifecycle.disk_users import is_at_rest, user_of
from provisioner.model.errors import InvalidInput, NotFound, Unsupported
from provisioner.model.metadata import Resource
from provisioner.model.quantities import bytes_of
from provisioner.model.vm_disk import RECLAIM_ANNOTATION, RETAIN, VMDisk, forbidden_change


def grow(
    name: Name,
    size: Annotated[str, typer.Argument(metavar="SIZE", help="The size that it shall have, such as 200Gi")],
    namespace: Namespace = "default",
    dry_run: DryRun = False,
    wait: Wait = True,
    timeout: Timeout = "10m",
    output: NarrowOutput = "table",
    error_unchanged: ErrorUnchanged = False,
) -> int:
    """Make a disk larger. A disk that a running VM has grows when that VM restarts; no disk shrinks (exit 2).

    The file system on it is the guest's to grow: cloud images do it at the next boot.
    """
    form = output_format(output, allowed=NARROW)
    session = Session()
    disk = disk_of(session, name, namespace)
    _check_size(size)
    wanted = disk.model_copy(update={"spec": disk.spec.model_copy(update={"storage": size})})
    why = forbidden_change(disk.spec, wanted.spec)
    if why:
        raise Unsupported(f"VMDisk {disk.metadata.name} cannot be {size}", why=why)
    if dry_run:
        from cli.planning import print_dry_run

        return print_dry_run(session, [wanted], form=form)
    done = put_resource(session.store, wanted)
    say(f"vmdisk/{disk.metadata.name} {done.verb}")
    _finish(session, disk, form, wait_s=duration_s(timeout) if wait else None)
    return UNCHANGED_EXIT_CODE if error_unchanged and not done.changes else 0


def delete(
    names: Names,
    retain: Annotated[bool, typer.Option("--retain", help="Leave their volumes on the hosts, and say where")] = False,
    namespace: Namespace = "default",
    dry_run: DryRun = False,
    wait: Wait = True,
    timeout: Timeout = "10m",
    ignore_not_found: IgnoreNotFound = False,
) -> None:
    """Delete disks with their volumes. One that a VM has is deleted when that VM goes; one that is being copied, after that."""
    session = Session()
    keys = [key_of(name, namespace) for name in names]
    disks = [disk for key in keys if isinstance(disk := session.find(key), VMDisk)]
    if dry_run:
        put("".join(f"{_fate(disk, retain=retain)}\n" for disk in disks))
        return
    places = []
    for disk in disks:
        if retain and not disk.is_being_deleted:
            patch(session, disk.key, _retained)
        if _stays(disk, retain=retain) and disk.status.volume:
            places.append(f"volume {disk.status.volume} stays in pool {disk.status.pool} of host {disk.status.host}")
    delete_all(session, keys, Removal(wait=wait, timeout_s=duration_s(timeout), ignore_not_found=ignore_not_found))
    for place in places:
        say(place)


def _check_size(size: str) -> None:
    try:
        bytes_of(size)
    except ValueError as error:
        raise InvalidInput(f"{size!r} is no size", why=str(error)) from error


def _finish(session: Session, disk: VMDisk, form: str, *, wait_s: float | None) -> None:
    from cli.planning import ports_of

    user = user_of(disk, ports_of(session))
    if user is not None and not is_at_rest(user):
        say(f"it grows when {user.metadata.name} restarts:  hikube gpu vm restart {user.metadata.name}")
    elif wait_s is not None:
        now = session.find(disk.key)
        if not isinstance(now, VMDisk):
            raise NotFound(f"{disk.key} was deleted meanwhile")
        wait_for(session, now, timeout_s=wait_s)
    print_disk(session, disk, form)


def _retained(disk: Resource) -> Resource:
    return disk.with_metadata(annotations=disk.metadata.annotations | {RECLAIM_ANNOTATION: RETAIN})


def _stays(disk: VMDisk, *, retain: bool) -> bool:
    return retain or disk.metadata.annotations.get(RECLAIM_ANNOTATION) == RETAIN


def _fate(disk: VMDisk, *, retain: bool) -> str:
    volume = f"{disk.status.volume} in pool {disk.status.pool} of host {disk.status.host}" if disk.status.volume else "none yet"
    return f"vmdisk/{disk.metadata.name} would be deleted; volume {volume}{' stays' if _stays(disk, retain=retain) else ''}"
