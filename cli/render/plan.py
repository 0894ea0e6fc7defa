"""A plan as people and as programs read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plan_text(planned: Mapping[str, Any]) -> str:
    """What would be done, where the VM would go and why, its domain's XML and its seed."""
    action = "unchanged" if planned["action"] == "leave unchanged" else f"would {planned['action']}"
    lines = [f"{planned['object']}: {action} (dry run)", *[f"  {change}" for change in planned["changes"]]]
    preview = planned["preview"]
    if preview is None:
        return "\n".join(lines) + "\n"
    lines.append(
        f"Plan  {planned['resource'].metadata.name} on {preview.placement.sentence()}" if preview.steps else _nowhere(preview)
    )
    lines += [f"  {reason}" for reason in getattr(preview.placement, "reasons", ())]
    if preview.steps:
        lines.append("  steps: " + " -> ".join(preview.steps))
    if preview.hardware is not None:
        lines += ["", "--- hardware, and why", *preview.hardware.reasons]
    if preview.domain_xml:
        lines += ["", "--- domain XML", preview.domain_xml.rstrip("\n")]
    for name, text in preview.seed.items():
        lines += ["", f"--- seed: {name.replace('_', '-')}", text.rstrip("\n")]
    return "\n".join(lines) + "\n"


def plan_json(planned: Mapping[str, Any]) -> dict[str, Any]:
    """The same as data; `placement` is null for what is no VM."""
    preview = planned["preview"]
    facts: dict[str, Any] = {
        "object": planned["object"],
        "action": planned["action"],
        "changes": list(planned["changes"]),
        "fits": None,
        "placement": None,
    }
    if preview is not None:
        facts |= {
            "fits": bool(preview.steps),
            "placement": preview.placement.as_dict(),
            "domainXml": preview.domain_xml,
            "seed": {name.replace("_", "-"): text for name, text in preview.seed.items()},
            "steps": list(preview.steps),
            "hardware": preview.hardware.as_dict() if preview.hardware is not None else None,
        }
    return facts


def _nowhere(preview: Any) -> str:
    return f"Plan  nowhere: {preview.placement.sentence()}"
