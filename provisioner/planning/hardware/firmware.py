"""BIOS or UEFI, the firmware's PCI window, and the address width that the guest sees.

The image says what it boots with: `bios`, `efi`, or `any`. An image that boots both ways gets BIOS, which is quicker, unless
the GPUs' BARs do not fit there. Secure boot is off: drivers that are built in the guest are not signed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from provisioner.model.errors import Unsupported
from provisioner.model.gpu_host import GPUHost
from provisioner.planning.hardware import window
from provisioner.planning.hardware.choices import Choice
from provisioner.planning.hardware.execution import is_kvm
from provisioner.planning.hardware.window import Need
from provisioner.planning.plans import AddressWidth

ANY, BIOS, EFI = "any", "bios", "efi"
_LIMIT_SINCE = (9, 3)
"""libvirt; older ones drop the limit without a word."""


@dataclass(frozen=True, slots=True)
class FirmwarePlan:
    """What the guest boots with, and what it is told about addresses."""

    firmware: str
    pci_hole64_kib: int | None
    window_mib: int | None
    address_width: AddressWidth | None
    choices: tuple[Choice, ...]


def choose_firmware(wanted: str, *, need: Need, host: GPUHost, memory_mib: int) -> str:
    """`bios` or `efi`. An image for both gets UEFI only where the host has it and the BARs fit with nothing else."""
    if wanted != ANY:
        return wanted
    bios, efi = (window.fits(need, each, host=host, memory_mib=memory_mib) for each in (BIOS, EFI))
    return EFI if efi and not bios and EFI in host.status.capabilities.firmwares else BIOS


def firmware_of(wanted: str, *, need: Need, host: GPUHost, memory_mib: int, is_asked: bool = False) -> FirmwarePlan:
    """The firmware and everything around the PCI window. `is_asked`: by the VM's spec, rather than by its image.

    Raises:
        Unsupported: the host has no such firmware, or the BARs do not fit into the guest's addresses.
    """
    firmware = choose_firmware(wanted, need=need, host=host, memory_mib=memory_mib)
    if firmware not in host.status.capabilities.firmwares:
        raise Unsupported(
            f"{host.metadata.name} cannot run the guest", why=f"it has no {firmware} firmware", hint="install it (package ovmf)"
        )
    if not window.fits(need, firmware, host=host, memory_mib=memory_mib):
        why = window.shortage(need, firmware, host=host, memory_mib=memory_mib)
        raise Unsupported(f"{host.metadata.name} cannot run the guest", why=why)
    width = _address_width(need, host)
    told = _told_window(need, host) if firmware == EFI else None
    choices = (
        _why_firmware(firmware, wanted=wanted, need=need, is_asked=is_asked),
        *_why_window(need, firmware, told=told, host=host),
    )
    return FirmwarePlan(
        firmware=firmware,
        pci_hole64_kib=need.size_bytes // 1024 if need.is_large else None,
        window_mib=told // 2**20 if told else None,
        address_width=width,
        choices=(*choices, *_why_width(width, host)),
    )


def _told_window(need: Need, host: GPUHost) -> int | None:
    default = window.firmware_default_bytes(window.usable_width_bits(host))
    return window.told_window_bytes(need) if need.is_large and need.size_bytes > default else None


def _address_width(need: Need, host: GPUHost) -> AddressWidth | None:
    """Firmware places large BARs only where it trusts the width; an IOMMU that is narrower than the CPU bounds it."""
    if not need.is_large or not is_kvm(host):
        return None
    cpu, iommu = host.status.capabilities.address_width_bits, host.status.iommu_address_width_bits
    if not iommu or (cpu and iommu >= cpu):
        return AddressWidth("passthrough")
    return AddressWidth("passthrough" if _knows_limit(host) else "emulate", iommu)


def _knows_limit(host: GPUHost) -> bool:
    numbers = host.status.capabilities.libvirt_version.split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit()) >= _LIMIT_SINCE


def _why_firmware(firmware: str, *, wanted: str, need: Need, is_asked: bool) -> Choice:
    value = "UEFI, secure boot off" if firmware == EFI else "BIOS"
    if wanted != ANY:
        return Choice("firmware", value, "the spec asks for it" if is_asked else "what its image boots with")
    if firmware == EFI:
        return Choice("firmware", value, f"the image boots both ways, and BIOS cannot place {need.size_gib} GiB of BARs")
    return Choice("firmware", value, "the image boots both ways, and this is the quicker one")


def _why_window(need: Need, firmware: str, *, told: int | None, host: GPUHost) -> Iterator[Choice]:
    if not need.size_bytes:
        return
    if not need.is_large:
        yield Choice("PCI window", "QEMU's 32 GiB", f"{need.size_gib} GiB are needed, by {need.source}")
        return
    yield Choice("PCI window", f"{need.size_gib} GiB", f"all BARs with their alignment, by {need.source}")
    if firmware != EFI:
        yield Choice("firmware window", "SeaBIOS's own", "it makes as much as is needed")
        return
    default_gib = window.firmware_default_bytes(window.usable_width_bits(host)) // window.GIB
    if told:
        yield Choice("firmware window", f"{told // window.GIB} GiB, told to OVMF", f"it would make {default_gib} GiB by itself")
    else:
        yield Choice("firmware window", "OVMF's own", f"it makes {default_gib} GiB, one part in eight of its address space")


def _why_width(width: AddressWidth | None, host: GPUHost) -> Iterator[Choice]:
    if width is None:
        return
    cpu = host.status.capabilities.address_width_bits
    if width.bits is None:
        bits = f"{cpu} bits, " if cpu else ""
        yield Choice("address width", f"{bits}the host CPU's", "firmware must trust it to place large BARs")
    else:
        whose = f" while the CPU has {cpu}" if cpu else ""
        yield Choice("address width", f"{width.bits} bits", f"the host's IOMMU maps no more{whose}")
