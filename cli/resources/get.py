"""`hikube get`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.listing import Listing, follow, print_items
from cli.naming import Named, named
from cli.options import AllNamespaces, IgnoreNotFound, Kind, Namespace, Output, Selector, Watch, labels, output_format
from cli.render.resources import columns_of
from cli.session import Session
from provisioner.model.errors import InvalidInput, NotFound


def get(
    kind: Kind,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Only these")] = [],  # noqa: B006 - typer copies it
    namespace: Namespace = "default",
    all_namespaces: AllNamespaces = False,
    selector: Selector = [],  # noqa: B006 - typer copies it
    output: Output = "table",
    watch: Watch = False,
    ignore_not_found: IgnoreNotFound = False,
) -> None:
    """List resources of a kind, or show those named."""
    form = output_format(output)
    wanted = labels(selector)
    session = Session()
    groups = named(kind, names)
    if len({group.words.kind for group in groups}) > 1:
        raise InvalidInput("one kind at a time", hint="`hikube describe` takes several")
    first = groups[0]
    chosen = tuple(name for group in groups for name in group.names)
    scope = None if all_namespaces or not first.words.is_namespaced else namespace

    def read() -> list[dict[str, Any]]:
        return _read(session, Named(first.words, chosen), scope, wanted, ignore_not_found=ignore_not_found or watch)

    columns = columns_of(first.words.kind, all_namespaces=all_namespaces and first.words.is_namespaced)
    where = f" in namespace {scope}" if scope else ""
    listing = Listing(columns, form, f"no {first.words.plural}{where}", single=len(chosen) == 1)
    if watch:
        follow(session, read, listing)
        return
    items = read()
    if items or not listing.single:
        print_items(items, listing, now_s=session.now_s)


def _read(
    session: Session, wanted: Named, scope: str | None, labels_wanted: dict[str, str], *, ignore_not_found: bool
) -> list[dict[str, Any]]:
    kind = wanted.words.kind
    if not wanted.names:
        return session.raw(kind, namespace=scope, labels=labels_wanted)
    items = []
    for name in wanted.names:
        try:
            items.append(session.raw_one(kind, name, namespace=scope or ""))
        except NotFound:
            if not ignore_not_found:
                raise
    return items
