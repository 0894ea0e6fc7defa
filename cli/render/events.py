"""Events as tables and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cli.render.age import age

if TYPE_CHECKING:
    from provisioner.store.protocol import Event

TITLES = ("LAST", "TYPE", "REASON", "OBJECT", "COUNT", "MESSAGE")


def events_table(events: Sequence[Event], *, now_s: float, with_titles: bool = True) -> str:
    """One line per event; the message is last, since it is the one cell that may hold spaces."""
    rows = [(age(event.last_timestamp, now_s), event.type, event.reason, _object(event), str(event.count)) for event in events]
    widths = [max(len(cell) for cell in column) for column in zip(TITLES[:-1], *rows, strict=True)]
    lines = [_line(TITLES[:-1], widths, TITLES[-1])] if with_titles else []
    lines += [_line(row, widths, _one_line(event.message)) for row, event in zip(rows, events, strict=True)]
    return "".join(f"{line}\n" for line in lines)


def event_json(event: Event) -> dict[str, Any]:
    """The event as `-o json` has it."""
    about = {"kind": event.about.kind, "namespace": event.about.namespace, "name": event.about.name}
    return {
        "about": about,
        "type": event.type,
        "reason": event.reason,
        "message": event.message,
        "count": event.count,
        "firstTimestamp": event.first_timestamp,
        "lastTimestamp": event.last_timestamp,
    }


def _object(event: Event) -> str:
    return f"{event.about.kind.lower()}/{event.about.name}"


def _line(cells: Sequence[str], widths: Sequence[int], last: str) -> str:
    return "   ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), last]).rstrip()


def _one_line(text: str) -> str:
    return " ".join(text.split())
