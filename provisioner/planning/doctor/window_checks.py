"""Checks of a GPU's memory regions: what lies over them on the host, and whether a guest has room for them.

A guest maps every region at an address that is a multiple of its size, below the width that CPU and IOMMU both reach. Firmware
gives devices one eighth of that space by itself (OVMF and SeaBIOS alike); more has to be asked for, and half is the most that
leaves room for memory.
"""

from __future__ import annotations

from provisioner.model.examination import Bar, Region
from provisioner.planning.doctor.checks import Answer, Found, GpuCase, Severity, Unknown
from provisioner.planning.hardware.window import Bars, need_of
from provisioner.planning.refusals import memory_in_words

OWN_SHARE_BITS = 3
MOST_SHARE_BITS = 1


def framebuffer(case: GpuCase) -> Answer:
    """Whether the firmware's console lies over one of its regions."""
    if case.function is None:
        return None
    for region in case.about.examination.framebuffers:
        for bar in case.function.bars:
            if _overlap(region, bar):
                return Found(f"{region.name} of the host's console lies over its BAR {bar.index} at {region.start:#x}")
    return None


def _overlap(region: Region, bar: Bar) -> bool:
    return region.start < bar.start + bar.size_bytes and bar.start <= region.end


def console(case: GpuCase) -> Answer:
    """Whether the host's own console is on it."""
    if case.function is None or not case.function.boot_vga:
        return None
    return Found("boot_vga is 1: the host's own console came up on it")


def window(case: GpuCase) -> Answer:
    """Whether its regions fit below the addresses that the IOMMU and the CPU reach."""
    bars = [bar.size_bytes for bar in case.function.bars] if case.function is not None else list(case.gpu.bar_bytes)
    if not bars:
        return Unknown("the sizes of its BARs are not known")
    widths = (case.about.examination.iommu_address_width_bits, case.about.examination.cpu_address_width_bits)
    known = [width for width in widths if width is not None]
    if not known:
        return Unknown("neither the IOMMU's nor the CPU's address width could be read")
    width, needed = min(known), need_of([Bars(tuple(bars), is_measured=True)]).size_bytes
    words = f"its BARs need a window of {memory_in_words(needed >> 20)} in {width} bits of addresses"
    if needed > 1 << (width - MOST_SHARE_BITS):
        return Found(f"{words}, more than half of them")
    if needed > 1 << (width - OWN_SHARE_BITS):
        return Found(f"{words}, more than firmware gives by itself", severity=Severity.INFO)
    return None
