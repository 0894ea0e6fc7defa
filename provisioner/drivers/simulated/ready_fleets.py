"""Ready-made fleets for the sandbox, as values: which hosts, of which preset, with which labels, and what is wrong with them.

l40s   l40s-1                          one host with one L40S
rack   h100-1 … h100-4                 a rack: four hosts of eight H100
zone   l40s-1, l40s-2 | h100-1         two racks of one zone; of the eight L40S one has fallen off its bus
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ReadyHost:
    """One host of such a fleet."""

    name: str
    preset: str
    """Of `presets.PRESETS`."""
    labels: Mapping[str, str]
    dead_gpus: tuple[str, ...] = field(default=())
    """Addresses of GPUs that fell off the bus before the host was first seen."""


def _place(rack: str) -> dict[str, str]:
    return {"zone": "z1", "rack": rack}


ZONE = (
    ReadyHost("l40s-1", "two-nodes", _place("r1")),
    ReadyHost("l40s-2", "two-nodes", _place("r1"), dead_gpus=("0000:44:00.0",)),
    ReadyHost("h100-1", "h100", _place("r2")),
)

READY_FLEETS: Mapping[str, tuple[ReadyHost, ...]] = {
    "zone": ZONE,
    "rack": tuple(ReadyHost(f"h100-{number}", "h100", _place("r1")) for number in range(1, 5)),
    "l40s": (ReadyHost("l40s-1", "l40s", _place("r1")),),
}
"""By the name that `hikube sandbox create --preset` takes; the first one is made where none is named."""
