"""GPUs as tables and text, over rows that say all about one GPU (cli/gpu/rows.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cli.render.age import age
from cli.render.table import NONE, table

Row = Mapping[str, Any]
TITLES = ("HOST", "ADDRESS", "GPU", "STATE", "OWNER", "HEALTH", "REASON")
WIDE_TITLES = ("DRIVER", "GROUP", "NUMA", "COMPANIONS", "RESET", "SERIAL", "SINCE")
GIB, MIB = 1 << 30, 1 << 20


def gpus_table(rows: Sequence[Row], *, now_s: float, wide: bool) -> str:
    """One line per GPU."""
    titles = (*TITLES, *(WIDE_TITLES if wide else ()))
    return table(titles, [[*_cells(row), *(_wide_cells(row, now_s) if wide else ())] for row in rows])


def _cells(row: Row) -> list[str]:
    owner = str(row["owner"]).partition(" ")[2]
    return [row["host"], row["address"], row["gpu"], row["state"], owner, row["health"], reason_word(row)]


def reason_word(row: Row) -> str:
    """Why a GPU is out of service, in one word."""
    entry = row["quarantine"]
    if entry is not None:
        return entry.get("cause") or "Unnamed"
    return "Retired" if row["retired"] else ""


def _wide_cells(row: Row, now_s: float) -> list[str]:
    entry, identity = row["quarantine"], row["identity"] or {}
    return [
        row["driver"],
        _or_none(row["iommuGroup"]),
        _or_none(row["numaNode"]),
        ",".join(companion["address"] for companion in row["companions"]),
        ",".join(row["resetMethods"]),
        identity.get("serial", ""),
        age(entry["since"], now_s) if entry is not None else "",
    ]


def gpu_text(row: Row, *, now_s: float) -> str:
    """All about one GPU."""
    return "".join(f"{title + ':':<12} {value}\n" for title, value in _fields(row, now_s) if value) + _findings(row)


def _fields(row: Row, now_s: float) -> Iterator[tuple[str, str]]:
    yield "GPU", f"{row['host']}/{row['address']}"
    yield "Model", f"{row['gpu']} ({row['name']})" if row["name"] else ""
    yield "State", row["state"]
    yield "Owner", row["owner"]
    yield "Health", row["health"] + (f": {row['healthMessage']}" if row["healthMessage"] else "")
    if (entry := row["quarantine"]) is not None:
        yield "Quarantine", f"{entry.get('cause') or 'Unnamed'}: {entry['reason']}"
        yield "Since", age(entry["since"], now_s)
    if row["retired"]:
        yield "Retired", row["retiredReason"] or "yes"
    if (check := row["lastCheck"]) is not None:
        yield "Last check", _check(check)
        yield "Checked", age(check.get("finished") or check.get("started", ""), now_s)
    yield "Driver", row["driver"]
    yield "IOMMU group", _or_none(row["iommuGroup"])
    yield "Companions", ", ".join(_companion(each) for each in row["companions"])
    yield "NUMA node", _or_none(row["numaNode"])
    yield "PCIe", _link(row)
    yield "BARs", ", ".join(_size(size) for size in row["barBytes"])
    yield "Resets by", ", ".join(row["resetMethods"])
    if (identity := row["identity"]) is not None:
        yield "Identity", ", ".join(f"{name} {value}" for name, value in _identity(identity) if value)


def _identity(identity: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield "id", f"{identity['vendor']}:{identity['device']}"
    if identity.get("subsystemVendor"):
        yield "subsystem", f"{identity['subsystemVendor']}:{identity.get('subsystemDevice', '')}"
    yield "revision", identity.get("revision", "")
    yield "serial", identity.get("serial", "")


def _check(check: Mapping[str, Any]) -> str:
    failures = "; ".join(f"{line['name']}: {line.get('message', '')}" for line in check.get("lines", ()) if not line["passed"])
    return f"{check['state'].lower()}{': ' + failures if failures else ''}"


def _companion(each: Mapping[str, Any]) -> str:
    return f"{each['address']} ({each['vendor']}:{each['device']}{', ' + each['driver'] if each.get('driver') else ''})"


def _link(row: Row) -> str:
    parts = [f"{row['linkSpeedGts']:g} GT/s" if row["linkSpeedGts"] else "", f"x{row['linkWidth']}" if row["linkWidth"] else ""]
    below = f"below {row['pcieParent']}" if row["pcieParent"] else ""
    return " ".join(part for part in (*parts, below) if part)


def _size(size_bytes: int) -> str:
    return f"{size_bytes // GIB} GiB" if size_bytes >= GIB else f"{size_bytes / MIB:g} MiB"


def _findings(row: Row) -> str:
    lines = [f"  {each['severity']:<8} {each['code']}  {each['message']}\n" for each in row["findings"]]
    return "Findings:\n" + "".join(lines) if lines else ""


def _or_none(value: Any) -> str:
    return NONE if value is None else str(value)


def check_lines(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a check did, one line each."""
    return [
        f"  {'ok' if line['passed'] else 'fail':<4} {line['name']:<13} {line.get('message', '')}".rstrip() for line in lines
    ]
