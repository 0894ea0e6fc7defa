"""Conditions as lines, in the order in which a life goes through them, with the sum of them all last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cli.render.age import age

_STEPS = (
    *("Bound", "ContentReady"),
    *(
        "Scheduled",
        "ImageReady",
        "DisksReady",
        "SeedReady",
        "NetworkReady",
        "DevicesBound",
        "Defined",
        "Started",
        "AddressKnown",
    ),
    *("Reachable", "GPUsProven", "Surveyed", "Examined", "KvmProven", "Swept"),
    *("Quiesced", "ResetDone", "ScrubDone", "VerifyDone", "RestoreDone", "Recorded"),
)
"""Those that steps set, of every kind. Written down here, so that a quick list need not import the tables of steps."""
_LAST = "Ready"


def in_order(conditions: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of steps in the order of the steps, then others as they are stored, then Ready."""
    return sorted(conditions, key=lambda each: _place(str(each["type"])))


def _place(name: str) -> int:
    if name == _LAST:
        return len(_STEPS) + 1
    return _STEPS.index(name) if name in _STEPS else len(_STEPS)


def conditions_lines(conditions: Sequence[Mapping[str, Any]], now_s: float) -> list[str]:
    """Aligned lines: type, status, since when, reason, message."""
    if not conditions:
        return ["Conditions:  none"]
    rows = [
        (each["type"], each["status"], age(each.get("lastTransitionTime", ""), now_s), each["reason"], each.get("message", ""))
        for each in in_order(conditions)
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["Conditions:"]
    for row in rows:
        cells = "   ".join(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True))
        lines.append(f"  {cells}   {' '.join(row[4].split())}".rstrip())
    return lines
