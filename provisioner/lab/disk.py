"""From a tree to a disk image, with neither loop devices nor mounts.

A host disk is a bare ext4 filesystem, since the host's kernel is handed to QEMU. A guest disk is an ordinary BIOS disk:

    sector 0        GRUB's boot.img, with the partition table in it
    sector 1...     GRUB's core.img, which carries its few commands; it expects itself right there
    sector 2048...  one ext4 partition

Invariant: files are sparse, and sizes are whole multiples of a MiB.
"""

from __future__ import annotations

import struct
from pathlib import Path

from provisioner.lab.tools import Tools
from provisioner.model.errors import LabError

SECTOR_BYTES = 512
FIRST_SECTOR = 2048
MIB = 1 << 20
TIMEOUT_S = 300
GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "linux")
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
    """Put GRUB and a partition table at the start of `image`; the kernel is /boot/vmlinuz, with /boot/initrd."""
    config = work / "grub.cfg"
    config.write_text(f"set root=(hd0,msdos1)\nlinux /boot/vmlinuz {command_line}\ninitrd /boot/initrd\nboot\n")
    core = work / "core.img"
    folder = tools.tree / "usr/lib/grub/i386-pc"
    tools.run(
        "usr/bin/grub-mkimage",
        *("-d", folder, "-O", "i386-pc", "-c", config, "-p", "/boot/grub", "-o", core, *GRUB_MODULES),
        doing="make the boot loader",
        timeout_s=TIMEOUT_S,
    )
    loader = core.read_bytes()
    if len(loader) > (FIRST_SECTOR - 1) * SECTOR_BYTES:
        raise LabError("the boot loader does not fit before the first partition")
    with image.open("r+b") as file:
        file.write(boot_sector((folder / "boot.img").read_bytes(), size_mib=size_mib) + loader)


def boot_sector(boot_image: bytes, *, size_mib: int) -> bytes:
    """GRUB's boot.img with a table of one active Linux partition that fills a disk of `size_mib`."""
    sectors = size_mib * MIB // SECTOR_BYTES - FIRST_SECTOR
    unused_chs = b"\xfe\xff\xff"
    entry = struct.pack("<B3sB3sII", 0x80, unused_chs, 0x83, unused_chs, FIRST_SECTOR, sectors)
    return boot_image[:440] + b"hkub\0\0" + entry + bytes(48) + b"\x55\xaa"


def to_qcow2(tools: Tools, *, raw: Path, qcow2: Path) -> None:
    """Convert a raw image; only what is in use is written."""
    tools.run(
        "usr/bin/qemu-img",
        *("convert", "-f", "raw", "-O", "qcow2", raw, qcow2),
        doing="convert the guest image",
        timeout_s=TIMEOUT_S,
    )
