"""Making a disk from the command line: through the same door as YAML, and on request until it is ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli.applying import Applied, Verb, create_resource
from cli.documents import from_options
from cli.options import UNCHANGED_EXIT_CODE
from cli.output import as_json, as_yaml, put, say
from cli.session import Session
from cli.storage_classes import warn_of_classes
from provisioner.model.errors import NotFound
from provisioner.model.metadata import APPS, find_condition
from provisioner.model.vm_disk import HOST_ANNOTATION, RECLAIM_ANNOTATION, RETAIN, VMDisk


@dataclass(frozen=True, slots=True)
class Manner:
    """How to make it, beside what."""

    form: str
    timeout_s: float
    waits: bool
    is_dry_run: bool
    error_unchanged: bool


def annotations_of(*, host: str, retain: bool) -> dict[str, str]:
    """What options say that no field of the spec does."""
    wishes = {HOST_ANNOTATION: host, RECLAIM_ANNOTATION: RETAIN if retain else ""}
    return {name: value for name, value in wishes.items() if value}


def make_disk(
    session: Session, name: str, namespace: str, *, spec: Mapping[str, Any], annotations: Mapping[str, str], manner: Manner
) -> int:
    """Make the disk and wait as the manner says; the exit code.

    Raises:
        InvalidDocuments: a field is wrong.
        NotFound: the host that is named does not exist.
        AlreadyExists: the name is taken by another spec.
    """
    metadata = {"name": name, "namespace": namespace, "annotations": dict(annotations)}
    disk = from_options(session, {"apiVersion": APPS, "kind": VMDisk.KIND, "metadata": metadata, "spec": dict(spec)})
    assert isinstance(disk, VMDisk)
    _refuse_unknown_host(session, annotations.get(HOST_ANNOTATION, ""))
    warn_of_classes(session, [disk])
    if manner.is_dry_run:
        from cli.planning import print_dry_run

        say(_plan(session, disk))
        return print_dry_run(session, [disk], form=manner.form)
    done = create_resource(session.store, disk)
    say(f"vmdisk/{name} {done.verb}")
    if manner.waits:
        wait_for(session, disk, timeout_s=manner.timeout_s)
    print_disk(session, disk, manner.form)
    _say_what_next(session, done, waits=manner.waits)
    return UNCHANGED_EXIT_CODE if manner.error_unchanged and done.verb is Verb.UNCHANGED else 0


def wait_for(session: Session, disk: VMDisk, *, timeout_s: float) -> None:
    """Wait until the disk is ready, or waits for somebody else. Raises as waiting."""
    from cli.goals import settled
    from cli.waiting import Wait

    Wait(session, [settled(disk)], timeout_s=timeout_s).run()


def print_disk(session: Session, disk: VMDisk, form: str) -> None:
    """The disk as it is now: a line, or the whole of it."""
    now = session.find(disk.key) or disk
    assert isinstance(now, VMDisk)
    if form in ("json", "yaml"):
        put(as_json(now.as_json()) if form == "json" else as_yaml(now.as_json()))
    elif form == "name":
        put(f"vmdisk/{now.metadata.name}\n")
    else:
        put(f"{now.metadata.name} {now.status.phase}{f' {now.status.host}' if now.status.host else ''}\n")


def _plan(session: Session, disk: VMDisk) -> str:
    """Where the disk would go."""
    from cli.disk.naming import disk_of

    source, home = disk.spec.source.disk, disk.home
    if source is not None:
        home = disk_of(session, source.name, disk.metadata.namespace).home
    if not home:
        return "it would go where the first VM that uses it goes"
    host = session.raw_one("GPUHost", home)["spec"]
    pool = host.get("storageClasses", {}).get(disk.spec.storage_class, host["storagePool"])
    return f"it would go to pool {pool} of host {home}"


def _refuse_unknown_host(session: Session, host: str) -> None:
    from cli.session import no_such

    known = [item["metadata"]["name"] for item in session.raw("GPUHost")] if host else []
    if host and host not in known:
        error: NotFound = no_such("GPUHost", host, namespace="", known=known)
        raise error


def _say_what_next(session: Session, done: Applied, *, waits: bool) -> None:
    disk = session.find(done.resource.key)
    if not isinstance(disk, VMDisk):
        return
    name = disk.metadata.name
    ready = find_condition(disk.status.conditions, "Ready")
    if disk.spec.source.upload is not None and disk.status.phase != "Ready":
        say(f"  upload:  hikube disk upload {name} FILE")
    elif ready is not None and ready.reason == "WaitForFirstConsumer":
        say("  it is made where the first VM that uses it goes; --host HOST puts it somewhere now")
    elif not waits and done.verb is not Verb.UNCHANGED and session.controller_lock().holder() is None:
        say(f"no control loop is running: `hikube controller`, or `hikube wait vmdisk/{name}`, goes on")
