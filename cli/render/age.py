"""How long ago something was, in the two or three characters that a table has for it."""

from __future__ import annotations

from provisioner.model.clock import seconds


def age(timestamp_text: str, now_s: float) -> str:
    """`45s`, `12m`, `5h`, `3d`; `<unknown>` without a time."""
    try:
        then_s = seconds(timestamp_text)
    except ValueError:
        return "<unknown>"
    return span(max(0.0, now_s - then_s))


def span(duration_s: float) -> str:
    """A duration in its largest unit that keeps it readable, as kubectl does."""
    whole = int(duration_s)
    if whole < 120:
        return f"{whole}s"
    if whole < 120 * 60:
        return f"{whole // 60}m"
    if whole < 48 * 3600:
        return f"{whole // 3600}h"
    return f"{whole // 86400}d"
