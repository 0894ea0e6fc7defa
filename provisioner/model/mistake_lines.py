"""Mistakes of documents as lines of text: the same words wherever they are told, on a terminal or on an object. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from provisioner.model.errors import HikubeError

MISTAKES_SHOWN = 200
_PLACE = ("file", "line", "column")


def lines_of(mistakes: Iterable[Mapping[str, Any]]) -> list[str]:
    """All of them, in their order; how many more there are, if there are many."""
    rows = list(mistakes)
    lines = [line for mistake in rows[:MISTAKES_SHOWN] for line in _lines(mistake)]
    if len(rows) > MISTAKES_SHOWN:
        lines.append(f"… and {len(rows) - MISTAKES_SHOWN} more")
    return lines


def mistake_line(mistake: Mapping[str, Any]) -> str:
    """`vm.yaml:12:7: spec.gpus[0].name: …`; without a file, what follows it."""
    where = ":".join(str(mistake[key]) for key in _PLACE if mistake.get(key))
    path = f"{mistake['path']}: " if mistake.get("path") else ""
    return f"{where + ': ' if where else ''}{path}{mistake.get('message', '')}"


def told_of_an_object(error: HikubeError) -> str:
    """Why an object is refused that came as data: what is said about a file, without places in one."""
    mistakes = error.context.get("mistakes") or ()
    return "\n".join(lines_of({**mistake, **dict.fromkeys(_PLACE)} for mistake in mistakes)) or str(error)


def _lines(mistake: Mapping[str, Any]) -> list[str]:
    lines = [mistake_line(mistake)]
    if mistake.get("allowed"):
        allowed = mistake["allowed"]
        text = allowed if isinstance(allowed, str) else ", ".join(str(value) for value in allowed)
        lines.append(f"    allowed: {text}")
    if mistake.get("did_you_mean"):
        lines.append(f"    did you mean {mistake['did_you_mean']}?")
    return lines
