"""How fast boxes are on this machine, so that waiting for one can be as patient as needed and not more.

The first start on a machine is waited for generously; its time is then kept in the cache, per accelerator, and every time limit
that concerns a box or a guest in it is scaled by it. 1.0 is REFERENCE_BOOT_S, measured on two quiet cores under emulation.
"""

from __future__ import annotations

import json
from pathlib import Path

from provisioner.lab import paths

REFERENCE_BOOT_S = 11.0
SLOWEST_SCALE = 10.0
FASTEST_SCALE = 0.5
UNKNOWN_SCALE = 4.0


def time_scale(*, accelerator: str = "tcg") -> float:
    """By what to multiply limits on time that were set on the reference machine; UNKNOWN_SCALE before the first boot."""
    boot_s = _read().get(accelerator)
    if not isinstance(boot_s, int | float):
        return UNKNOWN_SCALE
    return min(SLOWEST_SCALE, max(FASTEST_SCALE, boot_s / REFERENCE_BOOT_S))


def record_boot(boot_s: float, *, accelerator: str) -> None:
    """Remember how long a box took from power-on to SSH: the mean of this time and what was known, so that noise evens out."""
    known = _read()
    before = known.get(accelerator)
    known[accelerator] = (before + boot_s) / 2 if isinstance(before, int | float) else boot_s
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(known))


def _file() -> Path:
    return paths.image_cache() / "boot-times.json"


def _read() -> dict[str, object]:
    try:
        data = json.loads(_file().read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
