"""How much address space the GPUs' memory regions (BARs) need in the guest, and what must be said so that they get it.

Three parties must agree: QEMU (`pcihole64`), the firmware (its 64-bit window) and the widths of CPU and IOMMU, which bound what
the guest may address at all: a BAR beyond the IOMMU's width cannot be mapped.

A BAR is aligned to its size, and a root port's window is a multiple of its largest BAR, so a GPU needs the next such multiple
above the sum of its BARs; the whole is aligned to the largest of all. Eight BARs of 512 GiB thus fill more than 8 TiB, as was
seen (tianocore/edk2#12997).

    QEMU      32 GiB unless told
    OVMF      one part in eight of the space it believes in, at most 46 bits of it; at most 16 TiB when told
    SeaBIOS   what is needed, at the top of 44 bits, or of 46 for guests with 1 TiB and more above 4 GiB
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from provisioner.model.catalogue import GpuCatalogue
from provisioner.model.gpu_host import GpuFacts, GPUHost
from provisioner.model.virtual_machine import GpuAssignment
from provisioner.planning.hardware.execution import is_kvm
from provisioner.planning.refusals import joined

GIB, TIB = 2**30, 2**40
DEFAULT_HOLE_BYTES = 32 * GIB
"""QEMU's own 64-bit window on q35; only a larger need is written into the domain."""
EMULATED_WIDTH_BITS = 40
"""What QEMU's CPUs have where the host's width is not passed on."""
_OVMF_WIDTH_BITS = 46
_OVMF_SHARE_BITS = 3
_OVMF_MOST_BYTES = 16 * TIB


@dataclass(frozen=True, slots=True)
class Need:
    """The room that BARs want; 0 where no size is known."""

    size_bytes: int = 0
    source: str = ""
    """Where the sizes are from, for a sentence."""

    @property
    def is_large(self) -> bool:
        """Whether QEMU's own window is too small."""
        return self.size_bytes > DEFAULT_HOLE_BYTES

    @property
    def size_gib(self) -> int:
        """Whole GiB, rounded up."""
        return -(-self.size_bytes // GIB)


@dataclass(frozen=True, slots=True)
class Bars:
    """The memory regions of one GPU, in bytes; none where nothing is known."""

    sizes: tuple[int, ...] = ()
    is_measured: bool = False
    """Read on the host, rather than taken from the catalogue."""


def bars_of(name: str, facts: GpuFacts | None, catalogue: GpuCatalogue) -> Bars:
    """As measured on the host, else the largest by the catalogue, else none."""
    model = catalogue.resolve(name)
    return bars_or(facts, model.bar1_mib * 2**20 if model is not None else 0)


def bars_or(facts: GpuFacts | None, largest_bytes: int) -> Bars:
    """As measured on the host, else one of that size."""
    if facts is not None and facts.bar_bytes:
        return Bars(facts.bar_bytes, is_measured=True)
    return Bars((largest_bytes,)) if largest_bytes else Bars()


def bars_of_assigned(assignments: Iterable[GpuAssignment], host: GPUHost, catalogue: GpuCatalogue) -> tuple[Bars, ...]:
    """Of each assigned GPU."""
    facts = {gpu.address: gpu for gpu in host.status.gpus}
    return tuple(bars_of(assignment.name, facts.get(assignment.address), catalogue) for assignment in assignments)


def need_of(bars: Iterable[Bars]) -> Need:
    """The room that all BARs of these GPUs need together, aligned."""
    known = [each for each in bars if each.sizes]
    if not known:
        return Need()
    largest = max(_power_of_two(max(each.sizes)) for each in known)
    total = sum(room_of(each) for each in known) + largest
    is_measured = {each.is_measured for each in known}
    sources = [words for key, words in ((True, "read on the host"), (False, "of the catalogue")) if key in is_measured]
    return Need(-(-total // GIB) * GIB, f"BAR sizes {joined(sources)}")


def room_of(bars: Bars) -> int:
    """Of a root port's window for it: the next multiple of the largest BAR above all of them; 0 if none is known."""
    if not bars.sizes:
        return 0
    largest = _power_of_two(max(bars.sizes))
    return (sum(map(_power_of_two, bars.sizes)) // largest + 1) * largest


def _power_of_two(size: int) -> int:
    """The next power of two, `size` itself if it is one."""
    return 1 << max(0, size - 1).bit_length()


def usable_width_bits(host: GPUHost) -> int | None:
    """Address bits that guests with large BARs may use: the narrower of CPU and IOMMU; None where neither is known."""
    if not is_kvm(host):
        return EMULATED_WIDTH_BITS
    known = (host.status.capabilities.address_width_bits, host.status.iommu_address_width_bits)
    return min((width for width in known if width), default=None)


def largest_window_bytes(firmware: str, *, width_bits: int | None, memory_mib: int) -> int | None:
    """The largest 64-bit window that the firmware can make beside that much memory; None: no bound is known."""
    if width_bits is None:
        return _OVMF_MOST_BYTES if firmware == "efi" else None
    top_of_memory = (memory_mib + 4096) * 2**20
    if firmware == "efi":
        space = 1 << min(width_bits, _OVMF_WIDTH_BITS)
        window = min(space // 2, _OVMF_MOST_BYTES)
        # It lies at a multiple of its size, above the memory.
        while window >= GIB and -(-top_of_memory // window) * window + window > space:
            window //= 2
        return window if window >= GIB else 0
    limit_bits = 46 if memory_mib * 2**20 >= TIB else 44
    return max(0, (1 << min(width_bits, limit_bits)) - top_of_memory)


def fits(need: Need, firmware: str, *, host: GPUHost, memory_mib: int) -> bool:
    """Whether the firmware can place these BARs on that host."""
    largest = largest_window_bytes(firmware, width_bits=usable_width_bits(host), memory_mib=memory_mib)
    return not need.is_large or largest is None or need.size_bytes <= largest


def firmware_default_bytes(width_bits: int | None) -> int:
    """The window that OVMF makes by itself in a guest of that width; of an unknown width, what 40 bits would give."""
    width = min(width_bits or EMULATED_WIDTH_BITS, _OVMF_WIDTH_BITS)
    return int(1 << (width - _OVMF_SHARE_BITS))


def told_window_bytes(need: Need) -> int:
    """What OVMF is told: a power of two, as it aligns its window to its size."""
    return min(_power_of_two(need.size_bytes), _OVMF_MOST_BYTES)


def shortage(need: Need, firmware: str, *, host: GPUHost, memory_mib: int) -> str:
    """Why the BARs do not fit, with the numbers."""
    width = usable_width_bits(host)
    largest = largest_window_bytes(firmware, width_bits=width, memory_mib=memory_mib) or 0
    cpu, iommu = host.status.capabilities.address_width_bits, host.status.iommu_address_width_bits
    whose = "emulated CPU" if not is_kvm(host) else "IOMMU" if iommu and (not cpu or iommu < cpu) else "CPU"
    bits = f" with the {width} address bits of the {whose}" if width else ""
    return f"the GPUs' BARs want a window of {need.size_gib} GiB, {firmware} makes at most {largest // GIB} GiB{bits}"
