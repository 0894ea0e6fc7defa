"""Deleting objects and waiting until nothing is left of them and their GPUs are free, for every command that deletes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cli.output import put, say
from cli.session import Session, no_such
from provisioner.model.errors import InvalidInput, NotFound
from provisioner.model.metadata import Key, Resource

if TYPE_CHECKING:
    from provisioner.model.gpu_claim import GPUClaim


@dataclass(frozen=True, slots=True)
class Removal:
    """How to delete."""

    wait: bool
    timeout_s: float
    ignore_not_found: bool = False
    quiet: bool = False
    """Without a line for every step, where there are many objects."""


def delete_all(session: Session, keys: Sequence[Key], removal: Removal) -> None:
    """Ask for the deletion of all of them, then wait. All must exist before the first is touched.

    Raises:
        NotFound: one of them does not exist, unless that is fine.
        StillPending, Stuck: see waiting.
    """
    refused: list[Key] = []
    found = [resource for key in keys if (resource := _existing(session, key, removal, refused)) is not None]
    for key in refused:  # nothing was made for them, so nothing waits
        session.store.delete(key)
        put(f"{key.kind.lower()}/{key.name} deleted\n")
    waited_for = []
    for resource in found:
        if _is_gone_at_once(session, resource):
            put(f"{_name(resource)} deleted\n")
        else:
            waited_for.append(resource)
    if not waited_for:
        return
    if removal.wait:
        _wait(session, waited_for, removal)
        put("".join(f"{_name(resource)} deleted\n" for resource in waited_for))
    else:
        put("".join(f"{_name(resource)} deletion requested\n" for resource in waited_for))
        if session.controller_lock().holder() is None:
            say("no control loop is running: `hikube controller`, or the same command with --wait, finishes it")


def _existing(session: Session, key: Key, removal: Removal, refused: list[Key]) -> Resource | None:
    """The object; None if it may be absent, or is one that nobody understands, which is noted."""
    try:
        resource = session.find(key)
    except InvalidInput as error:
        if error.context.get("refused") != str(key):
            raise
        refused.append(key)
        return None
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


def claims_of(session: Session, uids: Sequence[str]) -> list[GPUClaim]:
    """The claims of these VMs, those that they have let go of included: a GPU is free when its claim is gone."""
    from provisioner.model.gpu_claim import GPUClaim

    return [claim for claim in session.store.list(GPUClaim).items if claim.spec.owner.uid in uids]


def tell_what_is_not_free(session: Session, claims: Sequence[GPUClaim]) -> None:
    """Name the GPUs that went into quarantine on their way."""
    from provisioner.model.gpu_host import GPUHost

    where = {(claim.spec.host, claim.spec.address) for claim in claims}
    for host in session.store.list(GPUHost).items if where else ():
        for entry in host.status.quarantined:
            if (host.metadata.name, entry.address) in where:
                say(f"GPU {entry.address} of host {host.metadata.name} is in quarantine: {entry.reason}")


def _wait(session: Session, resources: Sequence[Resource], removal: Removal) -> None:
    from cli.goals import gone
    from cli.waiting import Wait

    claims = claims_of(session, [resource.metadata.uid for resource in resources])
    targets = [gone(each.key, uid=each.metadata.uid) for each in (*resources, *claims)]
    if removal.quiet:
        targets = [replace(target, news=lambda _: ()) for target in targets]
    Wait(session, targets, timeout_s=removal.timeout_s).run()
    tell_what_is_not_free(session, claims)


def _name(resource: Resource) -> str:
    return f"{resource.kind.lower()}/{resource.metadata.name}"
