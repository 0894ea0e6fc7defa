"""`hikube wait`: level-triggered, and over early when it can only end badly."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.naming import named
from cli.options import Kind, Namespace, Timeout, duration_s
from cli.output import say
from cli.session import Session


def wait(
    kind: Kind,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Which")] = [],  # noqa: B006 - typer copies it
    what: Annotated[
        str, typer.Option("--for", metavar="WHAT", help="condition=Ready, condition=Ready=False, phase=Stopped, or delete")
    ] = "condition=Ready",
    namespace: Namespace = "default",
    timeout: Timeout = "30m",
) -> None:
    """Wait for a condition, a phase, or deletion.

    Runs the control loop in this process unless another one runs it. Ends as soon as what is waited for holds (exit 0), has
    failed for good (9 or 10), or the time is up (8).
    """
    from cli.awaited import asked_for
    from cli.waiting import Wait
    from provisioner.model.errors import InvalidInput

    limit_s = duration_s(timeout)
    keys = [key for group in named(kind, names) for key in group.keys(namespace)]
    if not keys:
        raise InvalidInput("nothing to wait for is named", hint=f"hikube wait {kind}/NAME --for={what}")
    session, targets = Session(), [asked_for(key, what) for key in keys]
    if what != "delete":
        for key in keys:
            session.raw_one(key.kind, key.name, namespace=key.namespace)  # a name that nothing has is told at once
    Wait(session, targets, timeout_s=limit_s).run()
    for key in keys:
        say(f"{key}: {what}")
