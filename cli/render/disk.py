"""One VMDisk as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.render.age import age
from cli.render.conditions import conditions_lines
from cli.render.resources import at, source_of_disk


def disk_text(item: Mapping[str, Any], *, now_s: float) -> str:
    """The whole text."""
    lines = [
        ("Name", at(item, "metadata.name")),
        ("Namespace", at(item, "metadata.namespace")),
        ("Status", "Deleting" if at(item, "metadata.deletionTimestamp") else at(item, "status.phase", "Pending")),
        ("Size", _size(item)),
        ("Kind", "CD-ROM" if at(item, "spec.optical", False) else ""),
        ("Source", source_of_disk(item)),
        ("Origin", _origin(item)),
        ("Class", at(item, "spec.storageClass")),
        ("Host", at(item, "status.host") or at(item, "metadata.annotations", {}).get("hikube.cloud/host", "")),
        ("Volume", _volume(item)),
        ("Used by", at(item, "status.usedBy")),
        ("Copied to", at(item, "status.copiedTo")),
        ("Reclaim", at(item, "metadata.annotations", {}).get("hikube.cloud/reclaim", "")),
        ("Age", age(at(item, "metadata.creationTimestamp"), now_s)),
    ]
    text = "".join(f"{title + ':':<11} {value}\n" for title, value in lines if value)
    return text + "\n" + "".join(f"{line}\n" for line in conditions_lines(at(item, "status.conditions", ()), now_s))


def _size(item: Mapping[str, Any]) -> str:
    """What is wanted, and what there is where that differs."""
    from provisioner.model.quantities import bytes_of, format_bytes

    wanted, there = str(at(item, "spec.storage")), int(at(item, "status.capacityBytes", 0))
    return wanted if not there or there == bytes_of(wanted) else f"{wanted}, {format_bytes(there)} now"


def _origin(item: Mapping[str, Any]) -> str:
    """Where the content came from, which may have gone or changed since."""
    origin = at(item, "status.origin", {})
    if not origin or origin["source"] == "blank":
        return ""
    parts = [origin["source"], origin.get("name", ""), f"sha256:{origin['sha256']}" if origin.get("sha256") else ""]
    return " ".join([*filter(None, parts), f"at {origin['taken']}"])


def _volume(item: Mapping[str, Any]) -> str:
    volume = at(item, "status.volume")
    return f"{volume} in pool {at(item, 'status.pool') or '<default>'}" if volume else ""
