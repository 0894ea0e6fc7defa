"""From a tree to a disk image, with neither loop devices nor mounts.

A host disk is a bare ext4 filesystem, since the host's kernel is handed to QEMU. A guest disk boots by BIOS and by UEFI:

    sector 0       GRUB's boot.img, with the partition table in it
    sector 1...    GRUB's core.img, which carries its few commands; it expects itself right there
    MiB 1...       partition 2, the EFI system partition, with GRUB for UEFI
    MiB 9...       partition 1, ext4: it is the last on the disk, so that it can grow

Invariant: files are sparse, and sizes are whole multiples of a MiB.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from provisioner.lab.esp import esp_image
from provisioner.lab.tools import Tools
from provisioner.model.errors import LabError

SECTOR_BYTES = 512
MIB = 1 << 20
SECTORS_OF_A_MIB = MIB // SECTOR_BYTES
ESP_MIB, ESP_SIZE_MIB = 1, 8
ROOT_MIB = ESP_MIB + ESP_SIZE_MIB
"""Where the partitions begin."""
TIMEOUT_S = 300
BIOS_MODULES = ("biosdisk", "part_msdos", "ext2", "linux")
EFI_MODULES = ("part_msdos", "ext2", "linux", "search_fs_file")
# Named one by one: GRUB must be able to read it, and the set must not change with the mke2fs of the day.
EXT4_FEATURES = (
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,flex_bg,sparse_super,large_file,huge_file,"
    "dir_nlink,extra_isize"
)


def make_filesystem(tools: Tools, *, tree: Path, image: Path, size_mib: int, offset_mib: int = 0) -> None:
    """Write an ext4 filesystem with the files of `tree` into `image`, from `offset_mib` to `offset_mib + size_mib`."""
    with image.open("ab") as file:
        file.truncate((offset_mib + size_mib) * MIB)
    tools.run(
        "usr/sbin/mke2fs",
        *("-q", "-F", "-t", "ext4", "-O", EXT4_FEATURES, "-m", "0", "-J", "size=16", "-d", tree),
        *("-E", f"offset={offset_mib * MIB},lazy_itable_init=1,lazy_journal_init=1,nodiscard"),
        *(image, f"{size_mib}M"),
        doing="make a filesystem",
        timeout_s=TIMEOUT_S,
    )


def make_bootable(tools: Tools, *, image: Path, work: Path, size_mib: int, command_line: str) -> None:
    """Put both boot loaders and a partition table before the root filesystem of `image`; the kernel is /boot/vmlinuz."""
    boot = f"linux /boot/vmlinuz {command_line}\ninitrd /boot/initrd\nboot\n"
    core = _grub(tools, "i386-pc", work=work, config=f"set root=(hd0,msdos1)\n{boot}", modules=BIOS_MODULES)
    if len(core) > ESP_MIB * MIB - SECTOR_BYTES:
        raise LabError("the boot loader does not fit before the first partition")
    # Which number a disk has depends on what else is attached; the file is on one only.
    efi = _grub(tools, "x86_64-efi", work=work, config=f"search.file /boot/vmlinuz root\n{boot}", modules=EFI_MODULES)
    first_code = (tools.tree / "usr/lib/grub/i386-pc/boot.img").read_bytes()
    with image.open("r+b") as file:
        file.write(boot_sector(first_code, size_mib=size_mib) + core)
        file.seek(ESP_MIB * MIB)
        file.write(esp_image(efi, size_mib=ESP_SIZE_MIB, first_sector=ESP_MIB * SECTORS_OF_A_MIB))


def _grub(tools: Tools, platform: str, *, work: Path, config: str, modules: Sequence[str]) -> bytes:
    """GRUB as one file that carries its commands."""
    commands, core = work / f"{platform}.cfg", work / f"{platform}.img"
    commands.write_text(config)
    folder = tools.tree / "usr/lib/grub" / platform
    tools.run(
        "usr/bin/grub-mkimage",
        *("-d", folder, "-O", platform, "-c", commands, "-p", "/boot/grub", "-o", core),
        *modules,
        doing="make the boot loader",
        timeout_s=TIMEOUT_S,
    )
    return core.read_bytes()


def boot_sector(boot_image: bytes, *, size_mib: int) -> bytes:
    """GRUB's boot.img with the table of a disk of `size_mib`: Linux's active partition to its end, and UEFI's before it."""
    root = _partition(0x80, 0x83, first_mib=ROOT_MIB, size_mib=size_mib - ROOT_MIB)
    esp = _partition(0x00, 0xEF, first_mib=ESP_MIB, size_mib=ESP_SIZE_MIB)
    return boot_image[:440] + b"hkub\0\0" + root + esp + bytes(32) + b"\x55\xaa"


def _partition(flag: int, kind: int, *, first_mib: int, size_mib: int) -> bytes:
    unused_chs = b"\xfe\xff\xff"
    sectors = (first_mib * SECTORS_OF_A_MIB, size_mib * SECTORS_OF_A_MIB)
    return struct.pack("<B3sB3sII", flag, unused_chs, kind, unused_chs, *sectors)


def to_qcow2(tools: Tools, *, raw: Path, qcow2: Path) -> None:
    """Convert a raw image; only what is in use is written."""
    tools.run(
        "usr/bin/qemu-img",
        *("convert", "-f", "raw", "-O", "qcow2", raw, qcow2),
        doing="convert the guest image",
        timeout_s=TIMEOUT_S,
    )
