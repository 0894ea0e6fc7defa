"""Small files that are disk images: what a test uploads, downloads, or puts behind an Image."""

from __future__ import annotations

import struct


def qcow2(virtual_size_bytes: int, *, backing_offset: int = 0) -> bytes:
    """The smallest file that is a qcow2 image: its header, and clusters of zeros."""
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        *(b"QFI\xfb", 3, backing_offset, 0, 16, virtual_size_bytes, 0, 1, 0x30000, 0x10000, 1, 0, 0, 0, 0, 0, 4, 104),
    )
    return header.ljust(0x40000, b"\0")


def raw_disk(size_bytes: int) -> bytes:
    """A raw disk with the signature of a boot sector."""
    return (b"\0" * 510 + b"\x55\xaa").ljust(size_bytes, b"\0")


def iso(size_bytes: int) -> bytes:
    """A file that begins like an ISO 9660 image."""
    return (b"\0" * 0x8001 + b"CD001").ljust(size_bytes, b"\0")
