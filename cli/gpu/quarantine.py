"""`hikube gpu quarantine`: by hand, at once, whether a control loop runs or not."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.gpu.naming import Gpu, GpuName, gpu_named
from cli.gpu.outcome import print_outcome
from cli.options import NARROW, UNCHANGED_EXIT_CODE, ErrorUnchanged, NarrowOutput, output_format
from cli.output import say
from cli.session import Session
from provisioner.model.errors import InvalidInput

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever looks at it later")]


def quarantine(gpu: Gpu, reason: Reason, output: NarrowOutput = "table", error_unchanged: ErrorUnchanged = False) -> int:
    """Take a GPU out of service until `hikube gpu release` finds it fit. A VM that has it keeps it until it stops."""
    form = output_format(output, allowed=NARROW)
    if not reason.strip():
        raise InvalidInput("--reason is empty", hint="say why, for whoever looks at it later")
    session = Session()
    name = gpu_named(session, gpu)
    is_news = put_in_quarantine(session, name, reason.strip(), cause="Operator")
    print_outcome(name, "quarantined" if is_news else "unchanged", form=form)
    say_who_keeps_it(session, name)
    return UNCHANGED_EXIT_CODE if error_unchanged and not is_news else 0


def put_in_quarantine(session: Session, gpu: GpuName, reason: str, *, cause: str) -> bool:
    """Do it; False if it was there already, for whatever reason."""
    from cli.planning import ports_of
    from provisioner.lifecycle.quarantine import quarantine as note

    return note(ports_of(session), host=gpu.host, address=gpu.address, reason=reason, cause=cause)


def say_who_keeps_it(session: Session, gpu: GpuName) -> None:
    """Name the VM that has it: nothing is taken away from a VM that runs."""
    for claim in session.raw("GPUClaim"):
        spec = claim["spec"]
        if (spec["host"], spec["address"]) == (gpu.host, gpu.address) and not claim.get("status", {}).get("releasedAt"):
            owner = spec["owner"]
            say(f"{owner['kind']} {owner['namespace']}/{owner['name']} has it, and keeps it until it stops")
