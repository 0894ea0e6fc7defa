"""`hikube gpu show`."""

from __future__ import annotations

from cli.gpu.naming import Gpu, gpu_named
from cli.options import NARROW, NarrowOutput, output_format
from cli.output import as_json, as_yaml, put
from cli.session import Session

HISTORY_LINES = 5


def show(gpu: Gpu, output: NarrowOutput = "table") -> None:
    """Show one GPU: its group and companions, drivers, identity, BARs, resets, what was found on it, and who had it last."""
    from cli.gpu.history import entries_of, history_table
    from cli.gpu.rows import gpu_row
    from cli.render.gpus import gpu_text

    form = output_format(output, allowed=NARROW)
    session = Session()
    name = gpu_named(session, gpu)
    row = gpu_row(session, name.host, name.address)
    entries = entries_of(session, name)[-HISTORY_LINES:]
    if form == "name":
        put(f"{name}\n")
    elif form == "table":
        past = "\n" + history_table(entries, wide=False) if entries else ""
        put(gpu_text(row, now_s=session.now_s) + past)
    else:
        value = {**row, "history": entries}
        put(as_json(value) if form == "json" else as_yaml(value))
