"""`hikube events`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.completing import complete_kinds
from cli.naming import named
from cli.options import NAMELESS, AllNamespaces, NamelessOutput, Namespace, Watch, output_format
from cli.output import as_json, as_json_line, as_list, as_yaml, put, put_line, say
from cli.render.events import event_json, events_table
from cli.session import Session

WATCH_S = 1.0


def events(
    kind: Annotated[str, typer.Argument(metavar="KIND[/NAME]", help="Only of this object", autocompletion=complete_kinds)] = "",
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Only of this object")] = [],  # noqa: B006 - typer copies it
    namespace: Namespace = "default",
    all_namespaces: AllNamespaces = False,
    output: NamelessOutput = "table",
    watch: Watch = False,
) -> None:
    """Show what happened, oldest first; equal events are counted."""
    form = output_format(output, allowed=NAMELESS)
    session = Session()
    keys = [key for group in (named(kind, names) if kind else ()) for key in group.keys(namespace)]
    scope = None if all_namespaces else namespace

    def read() -> list[Any]:
        if keys:
            return [event for key in keys for event in session.store.events(key)]
        everything = session.store.events()
        wanted = [event for event in everything if scope is None or event.about.namespace in (scope, "")]
        return [event for event in wanted if not kind or event.about.kind == named(kind, ())[0].words.kind]

    if watch:
        _follow(session, read, form)
        return
    found = read()
    if form != "table":
        value = as_list(event_json(event) for event in found)
        put(as_json(value) if form == "json" else as_yaml(value))
    elif found:
        put(events_table(found, now_s=session.now_s))
    else:
        say("no events")


def _follow(session: Session, read: Any, form: str) -> None:
    shown: set[Any] = set()
    first = True
    while True:
        for event in read():
            if event in shown:
                continue
            shown.add(event)
            if form == "table":
                put_line(events_table([event], now_s=session.now_s, with_titles=first).rstrip("\n"))
            else:
                put_line(as_json_line(event_json(event)))
            first = False
        session.clock.sleep(WATCH_S)  # events are no objects: the store's watch does not tell of them
