"""How long things take in the simulation, and where its chance comes from.

Chance is a function of the seed and of what is being decided (host, domain, number of the boot), never of the order in which
things were asked: two runs that differ in one call differ in that call only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Range = tuple[float, float]
"""From and to, in seconds."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations in seconds; ranges are drawn anew at each boot."""

    calls: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({"inventory.prove_kvm": 2.0}))
    """What a call takes, by its name; others take no time."""
    address: Range = (2.0, 6.0)
    """From the start of a domain to its DHCP lease."""
    ssh: Range = (1.0, 4.0)
    """From there until SSH answers."""
    cloud_init: Range = (5.0, 20.0)
    """From there until cloud-init is done."""
    shutdown: Range = (1.0, 3.0)
    """From the request to power off until the guest has."""


QUICK = Timing(calls=MappingProxyType({}), address=(0.1, 0.2), ssh=(0.1, 0.2), cloud_init=(0.2, 0.4), shutdown=(0.1, 0.2))
"""For hosts that people try out by the wall clock."""


@dataclass(frozen=True, slots=True)
class Chance:
    """Decides by the seed."""

    seed: int

    def fraction(self, *about: object) -> float:
        """A number in [0, 1) that is always the same for the same subject."""
        return int.from_bytes(self.digest(*about)[:7], "big") / 2**56

    def within(self, bounds: Range, *about: object) -> float:
        """A duration within the bounds."""
        return bounds[0] + (bounds[1] - bounds[0]) * self.fraction(*about)

    def uuid(self, *about: object) -> str:
        """A UUID in its canonical form."""
        text = self.digest(*about).hex()
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:32]}"

    def digest(self, *about: object) -> bytes:
        """32 bytes that are always the same for the same subject."""
        return hashlib.sha256("\x00".join(map(str, (self.seed, *about))).encode()).digest()
