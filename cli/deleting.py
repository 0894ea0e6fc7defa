"""Deleting objects and waiting until nothing of them is left; shared by `delete`, `gpu vm delete` and `host remove`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cli.output import put, say
from cli.session import Session, no_such
from provisioner.model.errors import NotFound
from provisioner.model.metadata import Key, Resource


@dataclass(frozen=True, slots=True)
class Removal:
    """How to delete."""

    wait: bool
    timeout_s: float
    ignore_not_found: bool = False


def delete_all(session: Session, keys: Sequence[Key], removal: Removal) -> None:
    """Ask for the deletion of all of them, then wait. All must exist before the first is touched.

    Raises:
        NotFound: one of them does not exist, unless that is fine.
        StillPending, Stuck: see waiting.
    """
    found = [resource for key in keys if (resource := _existing(session, key, removal)) is not None]
    waited_for = []
    for resource in found:
        if _is_gone_at_once(session, resource):
            put(f"{_name(resource)} deleted\n")
        else:
            waited_for.append(resource)
    if not waited_for:
        return
    if removal.wait:
        _wait(session, waited_for, removal.timeout_s)
        put("".join(f"{_name(resource)} deleted\n" for resource in waited_for))
    else:
        put("".join(f"{_name(resource)} deletion requested\n" for resource in waited_for))
        if session.controller_lock().holder() is None:
            say("no control loop is running: `hikube controller`, or the same command with --wait, finishes it")


def _existing(session: Session, key: Key, removal: Removal) -> Resource | None:
    resource = session.find(key)
    if resource is None and not removal.ignore_not_found:
        known = [item["metadata"]["name"] for item in session.raw(key.kind, namespace=key.namespace)]
        raise no_such(key.kind, key.name, namespace=key.namespace, known=known)
    return resource


def _is_gone_at_once(session: Session, resource: Resource) -> bool:
    try:
        session.store.delete(resource.key, uid=resource.metadata.uid)
    except NotFound:
        return True  # somebody was faster
    now = session.find(resource.key)
    return now is None or now.metadata.uid != resource.metadata.uid


def _wait(session: Session, resources: Sequence[Resource], timeout_s: float) -> None:
    from cli.goals import gone
    from cli.waiting import Wait

    targets = [gone(resource.key, uid=resource.metadata.uid) for resource in resources]
    Wait(session, targets, timeout_s=timeout_s).run()


def _name(resource: Resource) -> str:
    return f"{resource.kind.lower()}/{resource.metadata.name}"
