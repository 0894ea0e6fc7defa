"""`hikube disk leftovers`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.completing import complete_hosts
from cli.options import NARROW, NarrowOutput, output_format
from cli.output import as_json, as_list, as_yaml, put, say
from cli.render.table import table
from cli.session import Session


def leftovers(
    hosts: Annotated[
        list[str], typer.Argument(metavar="[HOST]…", help="Only on these hosts", autocompletion=complete_hosts)
    ] = [],  # noqa: B006 - typer copies it
    output: NarrowOutput = "table",
) -> int:
    """List volumes with somebody's data that belong to no VM and no disk any more; nothing is changed.

    They come from disks that were deleted with --retain, and from a store that was lost. Exit 9 if a host or a pool could not
    be looked at.
    """
    from cli.planning import ports_of
    from provisioner.lifecycle.vm_disk.leftovers import find_leftovers
    from provisioner.model.quantities import format_bytes

    form = output_format(output, allowed=NARROW)
    session = Session()
    for host in hosts:
        session.raw_one("GPUHost", host)
    search = find_leftovers(ports_of(session), hosts=tuple(hosts))
    rows: list[dict[str, Any]] = [
        {"host": each.host, "pool": each.pool, "volume": each.volume.name, "capacityBytes": each.volume.capacity_bytes}
        for each in search.found
    ]
    if form in ("json", "yaml"):
        put(as_json(as_list(rows)) if form == "json" else as_yaml(as_list(rows)))
    elif form == "name":
        put("".join(f"{row['host']}/{row['pool']}/{row['volume']}\n" for row in rows))
    elif rows:
        cells = [
            [str(row["host"]), str(row["pool"]), str(row["volume"]), format_bytes(int(row["capacityBytes"]))] for row in rows
        ]
        put(table(["HOST", "POOL", "VOLUME", "SIZE"], cells))
    else:
        say("no leftovers")
    for where, why in search.unseen:
        say(f"not looked at: {where}: {why}")
    return 9 if search.unseen else 0
