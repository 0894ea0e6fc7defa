"""`hikube gpu vm list`: people run it all day, so it reads plain JSON and imports nothing that is not needed."""

from __future__ import annotations

from typing import Any

from cli.listing import Listing, follow, print_items
from cli.options import AllNamespaces, Namespace, Output, Selector, Watch, labels, output_format
from cli.render.resources import columns_of
from cli.session import MACHINE_KINDS, Session


def list_machines(
    namespace: Namespace = "default",
    all_namespaces: AllNamespaces = False,
    selector: Selector = [],  # noqa: B006 - typer copies it
    output: Output = "table",
    watch: Watch = False,
) -> None:
    """List VMs: VirtualMachines and VMInstances."""
    form = output_format(output)
    wanted = labels(selector)
    session = Session()
    scope = None if all_namespaces else namespace

    def read() -> list[dict[str, Any]]:
        items = [item for kind in MACHINE_KINDS for item in session.raw(kind, namespace=scope, labels=wanted)]
        return sorted(items, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"]))

    where = "" if all_namespaces else f" in namespace {namespace}"
    listing = Listing(columns_of("VirtualMachine", all_namespaces=all_namespaces), form, f"no VMs{where}")
    if watch:
        follow(session, read, listing)
    else:
        print_items(read(), listing, now_s=session.now_s)
