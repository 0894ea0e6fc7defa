"""What a disk image is, read from its own first bytes, and which images must not be used.

A downloaded qcow2 may name other files: a backing file, or an external data file. QEMU would open them on the host with its own
rights and show them to the guest, so such an image is refused, whoever made it. So is one that is encrypted, corrupt, or newer
than we know. Source of the fields: docs/interop/qcow2.rst of QEMU. Pure: bytes in, facts or ImageRefused out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from provisioner.model.errors import ImageRefused

HEAD_BYTES = 1 << 16
"""How much of an image `recognise` wants to see: the header cluster, and the first descriptor of an ISO 9660 image."""

_QCOW2 = struct.Struct(">4sIQIIQIIQQIIQ")
_VERSION_3 = struct.Struct(">QQQII")
_EXTENSION = struct.Struct(">II")
_EXTERNAL_DATA_NAME = 0x44415441
_EXTENSIONS_MAX = 64
_CORRUPT, _EXTERNAL_DATA, _KNOWN = 1 << 1, 1 << 2, 0b11111
_CLUSTER_BITS = range(9, 22)
_OTHERS = {
    b"KDMV": "VMDK",
    b"COWD": "VMDK",
    b"# Disk DescriptorFile": "VMDK",
    b"vhdxfile": "VHDX",
    b"conectix": "VHD",
    b"<<< ": "VDI",
    b"QED\x00": "QED",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ": "xz",
    b"(\xb5/\xfd": "zstd",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
}

_RAW = (
    *((510, b"\x55\xaa"), (0x8001, b"CD001")),
    *((0x438, b"\x53\xef"), (0, b"XFSB"), (0, b"LUKS\xba\xbe"), (512, b"LABELONE"), (0xFF6, b"SWAPSPACE2")),
)
"""Offsets and marks: boot sector or partition table, ISO 9660; ext2 to ext4, XFS, LUKS, LVM, swap."""


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """A format that hosts can use as a base image."""

    name: Literal["qcow2", "raw"]
    virtual_size_bytes: int


def recognise(head: bytes, *, size_bytes: int) -> ImageFormat:
    """The format of an image of that size whose first HEAD_BYTES are `head`.

    Raw means a disk with a boot sector, a partition table or a file system, or an ISO 9660 image; anything else is not taken
    for a disk.

    Raises:
        ImageRefused: unknown, a format that must be converted first, or a qcow2 that must not be used.
    """
    if head.startswith(b"QFI\xfb"):
        return ImageFormat("qcow2", _qcow2_virtual_size(head))
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            hint = "convert it with `qemu-img convert -O qcow2`, or unpack it, and give the new file's URL"
            raise ImageRefused("the image cannot be used", why=f"it is {name}, not qcow2 or raw", hint=hint)
    is_raw = any(head[offset : offset + len(mark)] == mark for offset, mark in _RAW)
    if size_bytes and size_bytes % 512 == 0 and is_raw:
        return ImageFormat("raw", size_bytes)
    raise ImageRefused("the image cannot be used", why="it is no disk image: neither qcow2, nor a raw disk, nor ISO 9660")


def _qcow2_virtual_size(head: bytes) -> int:
    if len(head) < _QCOW2.size:
        raise _unusable("its header is cut short")
    _, version, backing_offset, _, cluster_bits, size, encryption, *_ = _QCOW2.unpack_from(head)
    if version not in (2, 3):
        raise _unusable(f"it is of version {version}, and only 2 and 3 are known")
    if backing_offset:
        raise _unusable("it names a backing file, which a host would open and show to the guest")
    if encryption:
        raise _unusable("it is encrypted")
    if cluster_bits not in _CLUSTER_BITS or not size:
        raise _unusable("its header makes no sense")
    _check_extensions(head, start=_check_features(head) if version == 3 else _QCOW2.size)
    return int(size)


def _check_features(head: bytes) -> int:
    """Refuse features that must not or cannot be used; returns where the header ends."""
    if len(head) < _QCOW2.size + _VERSION_3.size:
        raise _unusable("its header is cut short")
    incompatible, _, _, _, length = _VERSION_3.unpack_from(head, _QCOW2.size)
    if incompatible & _EXTERNAL_DATA:
        raise _unusable("its data are in another file, which a host would open and show to the guest")
    if incompatible & _CORRUPT:
        raise _unusable("it is marked as corrupt")
    if incompatible & ~_KNOWN:
        raise _unusable(f"it needs features that are not known here ({incompatible:#x})")
    return int(length)


def _check_extensions(head: bytes, *, start: int) -> None:
    for _ in range(_EXTENSIONS_MAX):
        if start + _EXTENSION.size > len(head):
            break
        kind, length = _EXTENSION.unpack_from(head, start)
        if kind == 0:
            return
        if kind == _EXTERNAL_DATA_NAME:
            raise _unusable("it names an external data file, which a host would open and show to the guest")
        start += _EXTENSION.size + (length + 7) // 8 * 8
    raise _unusable("its header makes no sense")


def _unusable(why: str) -> ImageRefused:
    return ImageRefused("the qcow2 image cannot be used", why=why)
