"""`hikube gpu retire` and its undoing, which leads through the same check as the way out of quarantine."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.gpu.naming import Gpu, GpuName, gpu_named
from cli.gpu.outcome import print_outcome
from cli.gpu.quarantine import put_in_quarantine, say_who_keeps_it
from cli.gpu.release import check_and_release, host_of
from cli.gpu.rows import RETIRED_ANNOTATION
from cli.options import NARROW, UNCHANGED_EXIT_CODE, ErrorUnchanged, NarrowOutput, Timeout, Wait, duration_s, output_format
from cli.patching import patch
from cli.session import Session
from provisioner.lifecycle.retirement import REASON, RETIRED
from provisioner.model.errors import InvalidInput
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Key, Resource
from provisioner.model.pci import name_part

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever looks at it later")]
Undo = Annotated[bool, typer.Option("--undo", help="Take a retired GPU back, if it passes the check of `gpu release`")]


def retire(
    gpu: Gpu,
    reason: Reason = "",
    undo: Undo = False,
    wait: Wait = True,
    timeout: Timeout = "20m",
    output: NarrowOutput = "table",
    error_unchanged: ErrorUnchanged = False,
) -> int:
    """Never hand a GPU out again. A VM that has it keeps it until it stops."""
    form, limit_s = output_format(output, allowed=NARROW), duration_s(timeout)
    session = Session()
    name = gpu_named(session, gpu)
    if not undo:
        is_news = _set(session, name, retired=True, reason=reason)
        print_outcome(name, "retired" if is_news else "unchanged", form=form)
        say_who_keeps_it(session, name)
        return UNCHANGED_EXIT_CODE if error_unchanged and not is_news else 0
    if reason:
        raise InvalidInput("--reason goes with retiring, not with --undo")
    if name.address not in host_of(session, name).spec.retired:
        print_outcome(name, "unchanged", form=form)
        return UNCHANGED_EXIT_CODE if error_unchanged else 0
    # Quarantine first, whether a control loop runs or not: there is no moment at which it could be handed out without a check.
    put_in_quarantine(session, name, REASON, cause=RETIRED)
    _set(session, name, retired=False)
    check_and_release(session, name, form=form, wait_s=limit_s if wait else None)
    return 0


def _set(session: Session, gpu: GpuName, *, retired: bool, reason: str = "") -> bool:
    note = RETIRED_ANNOTATION + name_part(gpu.address)

    def changed(host: Resource) -> Resource:
        assert isinstance(host, GPUHost)
        others = {address for address in host.spec.retired if address != gpu.address}
        spec = host.spec.model_copy(update={"retired": tuple(sorted(others | ({gpu.address} if retired else set())))})
        notes = {key: value for key, value in host.metadata.annotations.items() if key != note or (retired and not reason)}
        if retired and reason:
            notes[note] = reason[:500]
        return host.model_copy(update={"spec": spec}).with_metadata(annotations=notes)

    return patch(session, Key("GPUHost", "", gpu.host), changed)
