"""Adding hosts and images from Python: what `host add` and `image add` do, and what other commands that make hosts use too.

Every object goes through the door, like a file. With `replaces`, one that is there is changed to what is given; without,
another spec is a conflict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cli.applying import Applied, Verb, create_resource, put_resource
from cli.documents import from_options
from cli.output import say
from cli.session import Session
from provisioner.model.errors import HikubeError, StillPending
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import HIKUBE


def add_image(session: Session, name: str, *, spec: Mapping[str, Any], replaces: bool = False) -> Applied:
    """Store an Image; `spec` has the fields of the document (`url`, `sha256`, `format`, `distribution`, `defaultUser`, …).

    Raises:
        InvalidDocuments: a field is wrong.
        AlreadyExists: the name is taken by another spec.
    """
    document = {"apiVersion": HIKUBE, "kind": "Image", "metadata": {"name": name}, "spec": dict(spec)}
    image = from_options(session, document)
    return put_resource(session.store, image) if replaces else create_resource(session.store, image)


def add_host(
    session: Session,
    name: str,
    *,
    spec: Mapping[str, Any],
    labels: Mapping[str, str] | None = None,
    probe: bool = True,
    replaces: bool = False,
) -> Applied:
    """Store a GPUHost; with `probe`, after a look at it, whose findings are its first status.

    Args:
        spec: The fields of the document (`uri`, `gpuRules`, `allowEmulation`, `storagePool`, `network`, `reservedMemoryMib`).

    Raises:
        InvalidDocuments: a field is wrong.
        AlreadyExists: the name is taken by another spec.
        HostUnreachable, NotAllowed: it does not answer, or not to us; nothing was stored.
    """
    metadata = {"name": name, "labels": dict(labels or {})}
    host = from_options(session, {"apiVersion": HIKUBE, "kind": "GPUHost", "metadata": metadata, "spec": dict(spec)})
    assert isinstance(host, GPUHost)
    if not replaces and session.find(host.key) is not None:
        create_resource(session.store, host)  # a conflict is told before anything is asked of the host
    seen = _surveyed(session, host) if probe else host
    done = put_resource(session.store, seen) if replaces else create_resource(session.store, seen)
    return _with_findings(session, done, seen) if probe and done.verb is not Verb.CREATED else done


def settle_hosts(session: Session, added: Sequence[Applied], *, timeout_s: float) -> None:
    """Wait until it is known of each whether KVM works. They are stored and have answered: that it takes longer is no failure.

    Raises:
        Conflict: one is being deleted meanwhile.
        typer.Exit: 130 after Ctrl-C.
    """
    from cli.goals import settled
    from cli.waiting import Wait

    try:
        Wait(session, [settled(each.resource) for each in added], timeout_s=timeout_s).run()
    except StillPending as pending:
        say(f"not settled yet: {pending.why}")


def _surveyed(session: Session, host: GPUHost) -> GPUHost:
    from cli.planning import ports_of
    from provisioner.lifecycle.surveying import survey_host

    say(f"looking at {host.metadata.name} …")
    try:
        return survey_host(host, ports_of(session))
    except HikubeError as error:
        error.hint = "; ".join(
            part for part in (error.hint, "nothing was stored; `hikube host add … --no-probe` adds a host unseen") if part
        )
        raise


def _with_findings(session: Session, done: Applied, seen: GPUHost) -> Applied:
    """Store what the look has shown, beside what only the control loop knows."""
    from provisioner.lifecycle.surveying import with_survey
    from provisioner.model.gpu_claim import GPUClaim

    stored = done.resource
    assert isinstance(stored, GPUHost)
    claims = (claim for claim in session.store.list(GPUClaim).items if claim.spec.host == stored.metadata.name)
    found = with_survey(stored, seen.status, claimed={claim.spec.address for claim in claims})
    updated = session.store.update_status(found.with_status(last_seen=seen.status.last_seen))
    return Applied(updated, done.verb, done.changes)
