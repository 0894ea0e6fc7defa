"""Memory BARs of simulated GPUs, laid out as firmware does it: each at a multiple of its size, no two over each other.

A card of NVIDIA's has 16 MiB of registers, a window on its whole memory and 32 MiB more; the window's size comes from the
catalogue. A stand-in has what bochs-display has. An address follows from the bus number, so it is always the same.
"""

from __future__ import annotations

from provisioner.model.examination import Bar
from provisioner.model.tables import Tables

MIB = 2**20
_HIGH_BITS = 39
"""Each bus has 512 GiB of the high window for itself."""
_LOW_START, _LOW_BITS = 0x80000000, 25
_SMALL = 256
"""MiB of the window that even the smallest card has."""


def bars_of(identifier: str, *, address: str, memory_mib: int) -> tuple[Bar, ...]:
    """The memory BARs of a GPU with this `vendor:device` at this address; `memory_mib` counts where no catalogue knows it."""
    bus = int(address.split(":")[1], 16)
    high, low = bus << _HIGH_BITS, _LOW_START + (bus << _LOW_BITS) % 2**30
    if not identifier.startswith("10de:"):
        return (
            Bar(index=0, start=low, size_bytes=16 * MIB, is_prefetchable=True),
            Bar(index=2, start=low + 16 * MIB, size_bytes=4096),
        )
    model = Tables.builtin().gpus.by_id(identifier)
    known_mib = model.bar1_mib if model is not None else 0
    window = MIB * max(_SMALL, known_mib or _power_of_two_above(memory_mib))
    return (
        Bar(index=0, start=low, size_bytes=16 * MIB),
        Bar(index=1, start=high, size_bytes=window, is_64_bit=True, is_prefetchable=True),
        Bar(index=3, start=high + window, size_bytes=32 * MIB, is_64_bit=True, is_prefetchable=True),
    )


def _power_of_two_above(number: int) -> int:
    return 1 << max(0, number - 1).bit_length()
