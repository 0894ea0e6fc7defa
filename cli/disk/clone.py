"""`hikube disk clone`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.disk.making import Manner, annotations_of, make_disk
from cli.disk.naming import Name, Retain, StorageClass, disk_of
from cli.options import NARROW, DryRun, ErrorUnchanged, Namespace, NarrowOutput, Timeout, Wait, duration_s, output_format
from cli.session import Session
from provisioner.lifecycle.disk_users import is_at_rest, user_of
from provisioner.model.errors import Conflict
from provisioner.model.vm_disk import VMDisk


def clone(
    origin: Name,
    name: Annotated[str, typer.Argument(metavar="COPY", help="What to call the copy")],
    size: Annotated[str, typer.Option("--size", metavar="SIZE", help="Size of the copy [that of the origin]")] = "",
    storage_class: StorageClass = "",
    retain: Retain = False,
    queue: Annotated[bool, typer.Option("--queue", help="Wait until the VM that uses the disk is stopped")] = False,
    namespace: Namespace = "default",
    dry_run: DryRun = False,
    wait: Wait = True,
    timeout: Timeout = "2h",
    output: NarrowOutput = "table",
    error_unchanged: ErrorUnchanged = False,
) -> int:
    """Copy a disk in full, on the host where it is. The copy needs nothing of its origin afterwards.

    A disk that a running VM writes to is not copied: exit 5, unless --queue is given. While the copy is made, no VM starts
    with the origin.
    """
    form = output_format(output, allowed=NARROW)
    session = Session()
    copied = disk_of(session, origin, namespace)
    if not queue:
        _refuse_if_not_there(copied)
        _refuse_if_used(session, copied)
    spec = {
        "source": {"disk": {"name": copied.metadata.name}},
        "optical": copied.spec.optical,
        "storage": size or copied.spec.storage,
        "storageClass": storage_class or copied.spec.storage_class,
    }
    manner = Manner(form, duration_s(timeout), waits=wait, is_dry_run=dry_run, error_unchanged=error_unchanged)
    return make_disk(session, name, namespace, spec=spec, annotations=annotations_of(host="", retain=retain), manner=manner)


def _refuse_if_not_there(disk: VMDisk) -> None:
    name = disk.metadata.name
    if not disk.home and disk.spec.source.disk is None:
        hint = "--queue waits for the first VM that uses it; `hikube disk create … --host HOST` makes a disk without one"
        raise Conflict(f"VMDisk {name} has no content yet", why="no VM uses it, so it is on no host", hint=hint)


def _refuse_if_used(session: Session, disk: VMDisk) -> None:
    from cli.planning import ports_of

    user = user_of(disk, ports_of(session))
    if user is not None and not is_at_rest(user):
        raise Conflict(
            f"VMDisk {disk.metadata.name} is in use",
            why=f"{user.key} is {user.status.phase.value}, and may write to it",
            hint=f"`hikube gpu vm stop {user.metadata.name}` first, or --queue to wait for that",
            context={"user": str(user.key)},
        )
