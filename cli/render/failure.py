"""An error as people read it: what, why, the facts behind it, a hint, and where the documentation is.

Error: no host can take 2 x L40S for VM train-1  [HK-CAPACITY-001]

  12 hosts: 7 wrong GPU model, 3 GPUs in use, 2 cordoned
  closest: gpu-04 lacks 1 L40S

hint: …
docs: docs/errors.md#hk-capacity-001
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner.model.errors import HikubeError, InvalidDocuments, InvalidInput
from provisioner.model.mistake_lines import lines_of, mistake_line

__all__ = ["error_text", "mistake_line"]

FACT_LINES_SHOWN = 40


def error_text(error: HikubeError) -> str:
    """The whole message, ending in a newline."""
    lines = [f"Error: {error.what}  [{error.code}]"]
    facts = _facts(error) if error.context.get("mistakes") else [*_why(error), *_facts(error)]
    if facts:
        spaced = not isinstance(error, InvalidInput)
        lines += ["", *[f"  {line}".rstrip() for line in facts], ""] if spaced else [f"  {line}".rstrip() for line in facts]
    if error.hint:
        lines.append(f"hint: {error.hint}")
    lines.append(f"docs: docs/errors.md#{error.code.lower()}")
    return "\n".join(lines) + "\n"


def _why(error: HikubeError) -> list[str]:
    lines = error.why.splitlines()
    if len(lines) > FACT_LINES_SHOWN:
        lines = [f"(… {len(lines) - FACT_LINES_SHOWN} lines before)", *lines[-FACT_LINES_SHOWN:]]
    return lines


def _facts(error: HikubeError) -> list[str]:
    context = error.context
    lines: list[str] = []
    if isinstance(error, InvalidDocuments):
        lines += lines_of(context.get("mistakes", ()))
    if context.get("sentence"):
        lines += _no_placement(context)
    if context.get("allowed"):
        lines.append(f"allowed: {', '.join(str(value) for value in context['allowed'])}")
    for title, key in (("left behind", "left"), ("in the way", "holders")):
        if context.get(key):
            lines += [f"{title}:", *[f"  {item}" for item in context[key]]]
    return lines


def _no_placement(context: Mapping[str, Any]) -> list[str]:
    """The counts of all hosts, and the host that lacks least on a line of its own."""
    counts, _, _ = str(context["sentence"]).partition("; nearest:")
    nearest = context.get("nearest")
    return [counts, f"closest: {nearest['host']} lacks {nearest['lacks']}"] if nearest else [counts]
