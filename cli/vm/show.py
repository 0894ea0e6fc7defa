"""`hikube gpu vm show`."""

from __future__ import annotations

from typing import Any

from cli.listing import Listing, follow
from cli.machines import Name, raw_machine
from cli.options import Namespace, Output, Watch, output_format
from cli.output import as_json, as_yaml, put
from cli.render.machine import machine_text
from cli.render.resources import columns_of, short_name
from cli.session import Session


def show(name: Name, namespace: Namespace = "default", output: Output = "table", watch: Watch = False) -> None:
    """Show one VM: where it is, its GPUs on the host and in the guest, its conditions."""
    form = output_format(output)
    session = Session()
    item = raw_machine(session, name, namespace)
    if watch:
        follow(session, lambda: _again(session, item), Listing(columns_of("VirtualMachine"), form, "it is gone"))
    elif form in ("json", "yaml"):
        put(as_json(item) if form == "json" else as_yaml(item))
    elif form == "name":
        put(f"{short_name(item)}\n")
    else:
        put(machine_text(item, now_s=session.now_s))


def _again(session: Session, item: dict[str, Any]) -> list[dict[str, Any]]:
    metadata = item["metadata"]
    same = session.raw(item["kind"], namespace=metadata["namespace"])
    return [each for each in same if each["metadata"]["name"] == metadata["name"]]
