"""Printing a list of objects in the format asked for, once or as it changes. Shared by every `list` and `get`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cli.output import as_json, as_json_line, as_list, as_yaml, put, put_line, say
from cli.render.resources import short_name, without_secrets
from cli.render.table import Column, columns_table
from cli.session import Session

WATCH_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Listing:
    """What to print and how."""

    columns: Sequence[Column]
    form: str
    nothing: str
    """Said on stderr when a table would be empty."""
    single: bool = False
    """One named object: JSON and YAML are the object itself, not a List."""


def print_items(items: Sequence[dict[str, Any]], listing: Listing, *, now_s: float) -> None:
    """Print the objects once."""
    safe = [dict(without_secrets(item)) for item in items]
    if listing.form in ("json", "yaml"):
        value = safe[0] if listing.single else as_list(safe)
        put(as_json(value) if listing.form == "json" else as_yaml(value))
    elif listing.form == "name":
        put("".join(f"{short_name(item)}\n" for item in safe))
    elif safe:
        put(columns_table(listing.columns, safe, now_s=now_s, wide=listing.form == "wide"))
    else:
        say(listing.nothing)


def follow(session: Session, read: Callable[[], list[dict[str, Any]]], listing: Listing) -> None:
    """Print every object, then each again whenever it changes, until interrupted. Deleted ones are said on stderr."""
    from provisioner.model.errors import Conflict

    since: str | None = None
    shown: dict[str, dict[str, Any]] = {}
    while True:
        if since is None:
            since = session.store.list(_some_kind()).version
        now = {short_name(item): item for item in read()}
        _print_changes(shown, now, listing, session)
        shown = now
        try:
            changes = session.store.watch(since, timeout_s=WATCH_TIMEOUT_S)
        except Conflict:
            since = None  # the history was trimmed: what is there now is read again
            continue
        since = changes[-1].version if changes else since


def _some_kind() -> Any:
    from provisioner.model.gpu_host import GPUHost

    return GPUHost


def _print_changes(shown: dict[str, Any], now: dict[str, Any], listing: Listing, session: Session) -> None:
    first = not shown
    for name, item in now.items():
        if shown.get(name) == item:
            continue
        safe = without_secrets(item)
        if listing.form == "json":
            put_line(as_json_line(safe))
        elif listing.form == "yaml":
            put_line("---\n" + as_yaml(safe).rstrip())
        elif listing.form == "name":
            put_line(name)
        else:
            text = columns_table(listing.columns, [safe], now_s=session.now_s, wide=listing.form == "wide", with_titles=first)
            put_line(text.rstrip("\n"))
        first = False
    for name in shown.keys() - now.keys():
        say(f"{name} deleted")
