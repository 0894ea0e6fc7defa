"""The EFI system partition of a guest disk: a small FAT16 filesystem with the one file that firmware looks for.

    boot sector | two copies of the FAT | root directory: EFI | clusters: EFI/, EFI/BOOT/, EFI/BOOT/BOOTX64.EFI

Written here, since it is fixed and small, and no FAT tool is asked of the machine. Times are left out: the same loader gives
the same bytes.
"""

from __future__ import annotations

import struct

from provisioner.model.errors import LabError

SECTOR_BYTES = 512
ROOT_ENTRIES = 512
_FIRST_CLUSTER = 2
_END = 0xFFFF
_DIRECTORY, _FILE = 0x10, 0x20
_FEWEST, _MOST = 4085, 65524
"""Clusters that make a FAT a FAT16."""


def esp_image(loader: bytes, *, size_mib: int, first_sector: int) -> bytes:
    """The whole partition, `size_mib` large, with `loader` as /EFI/BOOT/BOOTX64.EFI.

    Raises:
        LabError: it does not fit.
    """
    sectors = size_mib * 2**20 // SECTOR_BYTES
    fat_sectors = -(-(sectors + _FIRST_CLUSTER) * 2 // SECTOR_BYTES)
    root_sectors = ROOT_ENTRIES * 32 // SECTOR_BYTES
    clusters = sectors - 1 - 2 * fat_sectors - root_sectors
    needed = -(-len(loader) // SECTOR_BYTES)
    if not _FEWEST <= clusters <= _MOST or needed + 2 > clusters:
        raise LabError(f"an EFI system partition of {size_mib} MiB does not hold a loader of {len(loader)} bytes")
    efi, boot, file = _FIRST_CLUSTER, _FIRST_CLUSTER + 1, _FIRST_CLUSTER + 2
    chain = [*range(file + 1, file + needed), _END]
    table = struct.pack(f"<{file + needed}H", 0xFFF8, _END, _END, _END, *chain)
    directories = (
        _directory(
            _entry(b".          ", _DIRECTORY, efi), _entry(b"..         ", _DIRECTORY, 0), _entry(b"BOOT", _DIRECTORY, boot)
        ),
        _directory(
            _entry(b".          ", _DIRECTORY, boot),
            _entry(b"..         ", _DIRECTORY, efi),
            _entry(b"BOOTX64 EFI", _FILE, file, size=len(loader)),
        ),
    )
    parts = (
        _boot_sector(sectors, fat_sectors=fat_sectors, first_sector=first_sector),
        *(table.ljust(fat_sectors * SECTOR_BYTES, b"\0"),) * 2,
        _entry(b"EFI", _DIRECTORY, efi).ljust(root_sectors * SECTOR_BYTES, b"\0"),
        *directories,
        loader,
    )
    return b"".join(parts).ljust(sectors * SECTOR_BYTES, b"\0")


def _boot_sector(sectors: int, *, fat_sectors: int, first_sector: int) -> bytes:
    """The BIOS parameter block; nothing in it is ever executed."""
    small, large = (sectors, 0) if sectors < 2**16 else (0, sectors)
    block = struct.pack(
        "<3s8sHBHBHHBHHHIIBBBI11s8s",
        *(b"\xeb\x3c\x90", b"HIKUBE  ", SECTOR_BYTES, 1, 1, 2, ROOT_ENTRIES, small, 0xF8, fat_sectors, 32, 64),
        *(first_sector, large, 0x80, 0, 0x29, 0x6875_6B62, b"NO NAME    ", b"FAT16   "),
    )
    return block.ljust(SECTOR_BYTES - 2, b"\0") + b"\x55\xaa"


def _entry(name: bytes, attributes: int, cluster: int, *, size: int = 0) -> bytes:
    return struct.pack("<11sB14xHI", name.ljust(11), attributes, cluster, size)


def _directory(*entries: bytes) -> bytes:
    return b"".join(entries).ljust(SECTOR_BYTES, b"\0")
