"""`hikube host adopt`: a store that was lost is made again from what a host's domains bear."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from cli.completing import complete_hosts
from cli.options import NAMELESS, NamelessOutput, output_format
from cli.output import as_json, as_yaml, put, say
from cli.session import Session
from provisioner.model.errors import Conflict

if TYPE_CHECKING:
    from provisioner.lifecycle.adoption import Adoption


def adopt(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="What to call the host, or a host that is known", autocompletion=complete_hosts),
    ],
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="How to reach it: qemu+ssh://root@HOST/system, …; not for a known one")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be made, make nothing")] = False,
    output: NamelessOutput = "table",
) -> None:
    """Rebuild VMs, disks and claims from the domains of a host, after the store was lost.

    Domains with hikube's mark bear what is needed. Running VMs go on and notice nothing; stopped ones are stopped. The host is
    added with the settings that it had. To be used only when the store that made them is gone, or its controller is stopped for
    good: two stores must not look after one VM. Repeating it is harmless. Exit 5 if a domain could not be adopted.
    """
    form = output_format(output, allowed=NAMELESS)
    session = Session()
    with nullcontext() if dry_run else session.controller_lock():
        adoption = _carried_out(session, name, uri, dry_run=dry_run)
    if form == "table":
        _print(adoption, dry_run=dry_run)
    else:
        value = {"dryRun": dry_run, **adoption.as_dict()}
        put(as_json(value) if form == "json" else as_yaml(value))
    if adoption.troubles and not dry_run:
        raise _refused(adoption)


def _carried_out(session: Session, name: str, uri: str, *, dry_run: bool) -> Adoption:
    from cli.documents import from_options
    from cli.planning import ports_of
    from provisioner.lifecycle.adoption import adopt as make
    from provisioner.lifecycle.adoption import plan_adoption
    from provisioner.model.metadata import HIKUBE

    if uri:  # name and URI are checked as those of any other host
        from_options(session, {"apiVersion": HIKUBE, "kind": "GPUHost", "metadata": {"name": name}, "spec": {"uri": uri}})
    ports = ports_of(session)
    say(f"looking at {name} …")
    adoption = plan_adoption(name, uri=uri, ports=ports)
    return adoption if dry_run else make(adoption, ports)


def _print(adoption: Adoption, *, dry_run: bool) -> None:
    from cli.render.adoption import adoption_text
    from provisioner.lifecycle.adoption.findings import NEVER_RECOVERED

    put(adoption_text(adoption, dry_run=dry_run))
    if any(each.makes for each in adoption.adoptees):
        say("never recovered:")
        for each in NEVER_RECOVERED:
            say(f"  {each}")
    if not dry_run and any(each.makes for each in adoption.adoptees):
        say("the next command that waits, or `hikube controller`, goes on with them")


def _refused(adoption: Adoption) -> Conflict:
    lines = [f"{each.domain.name}: {each.reason}" for each in adoption.troubles]
    count = len(lines)
    return Conflict(
        f"{count} {'domain' if count == 1 else 'domains'} of host {adoption.host.metadata.name} could not be adopted",
        why="\n".join(lines),
        hint="docs/how-to/recover-a-lost-store.md says what to do about each; the others were adopted",
        context={"domains": [each.domain.name for each in adoption.troubles]},
    )
