"""Placeholders: values that a document shows to be replaced, copied without being replaced.

Only what no one means is caught: a whole value in angle brackets, an ellipsis, and the words that the documents of Hikube,
KubeVirt and cloud-init use. `changeme` inside a password or a script is left alone.
"""

from __future__ import annotations

import re

_WHOLE = re.compile(
    r"<[^<>\n]{1,100}>|\$\{[^}\n]{1,100}\}|\{\{.{0,100}\}\}|x{4,}|change[-_]?me|replace[-_ ]?me|replace[-_ ]with.{0,60}"
    r"|(?-i:TODO|FIXME|TBD)|your[-_ ].{1,60}|my[-_]ssh[-_]key|insert[-_ ].{1,60}[-_ ]here",
    re.IGNORECASE,
)
_ANYWHERE = re.compile(
    r"\bAAAA[A-Za-z0-9+/]{0,100}\.\.\.|\byour[-_](?:public|ssh|private)[-_]?[a-z-]{0,40}key"
    r"|\bREPLACE_ME\b|\bCHANGE_ME\b|<your[-_ ][^<>\n]{1,60}>"
)


def is_placeholder(value: str) -> bool:
    """Whether the value stands for one that was never filled in."""
    value = value.strip()
    return len(value) <= 2_000 and bool("…" in value or _WHOLE.fullmatch(value) or _ANYWHERE.search(value))


def placeholder_within(value: str) -> str:
    """The first placeholder inside a longer text such as a script; empty: none."""
    found = _ANYWHERE.search(value)
    return found[0] if found else ""
