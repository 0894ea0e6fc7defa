"""`hikube gpu list`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.completing import complete_hosts
from cli.options import Output, output_format
from cli.output import as_json, as_list, as_yaml, put, say
from cli.session import Session


def list_gpus(
    host: Annotated[
        str, typer.Option("--host", metavar="NAME", help="Only the GPUs of this host", autocompletion=complete_hosts)
    ] = "",
    output: Output = "table",
) -> None:
    """List every GPU: where it is, its state, who has it, its health, and why it is out of service.

    STATE: Free, Claimed (a VM has it), Draining (so, on a cordoned host), Cleaning (between two tenants), Quarantined, Retired.
    """
    from cli.fleets import why_no_gpus
    from cli.gpu.rows import gpu_rows
    from cli.render.gpus import gpus_table

    form = output_format(output)
    session = Session()
    if host:
        session.raw_one("GPUHost", host)
    rows = gpu_rows(session, host=host)
    if form in ("json", "yaml"):
        put(as_json(as_list(rows)) if form == "json" else as_yaml(as_list(rows)))
    elif form == "name":
        put("".join(f"{row['host']}/{row['address']}\n" for row in rows))
    elif rows:
        put(gpus_table(rows, now_s=session.now_s, wide=form == "wide"))
    else:
        say(why_no_gpus(session, host=host))
