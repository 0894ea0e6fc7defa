"""`hikube disk list` and `show`; like every list they read plain JSON, and import little."""

from __future__ import annotations

from typing import Any

from cli.disk.naming import Name
from cli.listing import Listing, follow, print_items
from cli.options import AllNamespaces, Namespace, Output, Selector, Watch, labels, output_format
from cli.output import as_json, as_yaml, put
from cli.render.disk import disk_text
from cli.render.resources import columns_of, short_name
from cli.session import Session


def list_disks(
    namespace: Namespace = "default",
    all_namespaces: AllNamespaces = False,
    selector: Selector = [],  # noqa: B006 - typer copies it
    output: Output = "table",
    watch: Watch = False,
) -> None:
    """List disks."""
    form = output_format(output)
    wanted = labels(selector)
    session = Session()
    scope = None if all_namespaces else namespace

    def read() -> list[dict[str, Any]]:
        items = session.raw("VMDisk", namespace=scope, labels=wanted)
        return sorted(items, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"]))

    where = "" if all_namespaces else f" in namespace {namespace}"
    listing = Listing(columns_of("VMDisk", all_namespaces=all_namespaces), form, f"no disks{where}")
    if watch:
        follow(session, read, listing)
    else:
        print_items(read(), listing, now_s=session.now_s)


def show(name: Name, namespace: Namespace = "default", output: Output = "table") -> None:
    """Show one disk: where it is, where its content came from, who has it, what does not hold."""
    form = output_format(output)
    session = Session()
    item = session.raw_one("VMDisk", name.rpartition("/")[2], namespace=namespace)
    if form in ("json", "yaml"):
        put(as_json(item) if form == "json" else as_yaml(item))
    elif form == "name":
        put(f"{short_name(item)}\n")
    else:
        put(disk_text(item, now_s=session.now_s))
