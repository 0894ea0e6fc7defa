"""`hikube sandbox delete`: the way back, by hikube's own undo, until neither the store nor the data folder has any of it."""

from __future__ import annotations

import shutil
from typing import Annotated, Any

import typer

from cli.asking import require
from cli.deleting import Removal, delete_all
from cli.options import Timeout, Yes, duration_s
from cli.output import put, say
from cli.places import has_store
from cli.sandbox.premises import handles, sandbox_dir, sandbox_hosts, sandbox_images
from cli.session import MACHINE_KINDS, Session
from provisioner.model.errors import HypervisorError
from provisioner.model.metadata import Key

REMOVALS_MAX = 20
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go; change nothing")]


def delete(yes: Yes = False, dry_run: DryRun = False, timeout: Timeout = "5m") -> None:
    """Delete the sandbox: its VMs and disks, its hosts, its images, its files. What is broken is mended first, so that VMs end.

    A sandbox that is not there is deleted already.
    """
    limit_s = duration_s(timeout)
    session = Session()
    hosts = [item["metadata"]["name"] for item in sandbox_hosts(session)]
    images = sandbox_images(session)
    users, disks = _living_there(session, set(hosts), MACHINE_KINDS), _living_there(session, set(hosts), ("VMDisk",))
    if not (hosts or images or sandbox_dir().exists()):
        say("there is no sandbox")
        return
    if dry_run:
        _say_fate(hosts, users, disks)
        return
    require(f"Delete the sandbox: {_counts(hosts, users, disks)}?", yes=yes)
    removal = Removal(wait=True, timeout_s=limit_s, ignore_not_found=True, quiet=True)
    if hosts:
        _mend_all(session)
        for keys in (users, disks, [Key("GPUHost", "", name) for name in hosts]):
            delete_all(session, keys, removal)
    _forget(session, [Key("Image", "", name) for name in images])
    _forget(session, _histories(session, set(hosts)))
    _remove_files()
    say("the sandbox is gone")


def _remove_files() -> None:
    """More than once, if need be: a controller may look at a host at this very moment, and lock its file for it."""
    for _ in range(REMOVALS_MAX):
        shutil.rmtree(sandbox_dir(), ignore_errors=True)
        if not sandbox_dir().exists():
            return
    raise HypervisorError(f"{sandbox_dir()} cannot be removed", hint="remove it by hand; nothing refers to it any more")


def _living_there(session: Session, hosts: set[str], kinds: tuple[str, ...]) -> list[Key]:
    """What is on its hosts; where there are no other hosts also what is nowhere yet, which could only have gone there."""
    if not hosts:
        return []
    others = {item["metadata"]["name"] for item in session.raw("GPUHost")} - hosts
    where = hosts if others else {*hosts, ""}
    items = [item for kind in kinds for item in session.raw(kind)]
    return [_key(item) for item in items if item.get("status", {}).get("host", "") in where]


def _histories(session: Session, hosts: set[str]) -> list[Key]:
    if not has_store():
        return []
    return [_key(item) for item in session.raw("GPUHistory") if item.get("status", {}).get("host") in hosts]


def _key(item: dict[str, Any]) -> Key:
    return Key(item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"])


def _mend_all(session: Session) -> None:
    from provisioner.drivers.simulated.troubles import mend_host

    for host in handles(session).values():
        mend_host(host)


def _forget(session: Session, keys: list[Key]) -> None:
    from provisioner.model.errors import NotFound

    for key in keys:
        try:
            session.store.delete(key)
        except NotFound:
            continue  # somebody was faster


def _say_fate(hosts: list[str], users: list[Key], disks: list[Key]) -> None:
    for key in (*users, *disks):
        put(f"{key.kind.lower()}/{key.name} would be deleted\n")
    put("".join(f"gpuhost/{name} would be deleted\n" for name in hosts))


def _counts(hosts: list[str], users: list[Key], disks: list[Key]) -> str:
    from provisioner.planning.refusals import counted

    counts = (counted(len(hosts), "host"), counted(len(users), "VM"), counted(len(disks), "disk"))
    return ", ".join(counts)
