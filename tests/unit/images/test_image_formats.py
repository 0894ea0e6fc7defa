"""Which images are taken, and why the others are not; where qemu-img is here, it makes the images."""

from __future__ import annotations

import shutil
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.drivers.images.formats import HEAD_BYTES, recognise
from provisioner.model.errors import ImageRefused


def qcow2(
    *, version: int = 3, backing: int = 0, size: int = 1 << 30, crypt: int = 0, incompatible: int = 0, extensions: bytes = b""
) -> bytes:
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", version, backing, 0, 16, size, crypt, 1, 65536, 131072, 1, 0, 0)
    if version == 3:
        header += struct.pack(">QQQII", incompatible, 0, 0, 4, 104)
    return (header + extensions).ljust(HEAD_BYTES, b"\0")


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack(">II", kind, len(data)) + data.ljust((len(data) + 7) // 8 * 8, b"\0")


def refusal(head: bytes, *, size_bytes: int = HEAD_BYTES) -> str:
    with pytest.raises(ImageRefused) as caught:
        recognise(head, size_bytes=size_bytes)
    return caught.value.why


@pytest.mark.parametrize("version", [2, 3])
def test_a_plain_qcow2_has_the_size_that_its_header_says(version: int) -> None:
    found = recognise(qcow2(version=version, size=3 << 30), size_bytes=12345)
    assert (found.name, found.virtual_size_bytes) == ("qcow2", 3 << 30)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (qcow2(backing=512), "backing file"),
        (qcow2(version=2, backing=512), "backing file"),
        (qcow2(incompatible=1 << 2), "another file"),
        (qcow2(extensions=extension(0x44415441, b"/etc/shadow")), "external data file"),
        (qcow2(extensions=extension(0x6803F857, bytes(48)) + extension(0x44415441, b"/dev/sda")), "external data file"),
        (qcow2(version=2, extensions=extension(0x44415441, b"/dev/sda")), "external data file"),
        (qcow2(crypt=2), "encrypted"),
        (qcow2(incompatible=1 << 1), "corrupt"),
        (qcow2(incompatible=1 << 7), "not known here (0x80)"),
        (qcow2(version=4), "version 4"),
        (qcow2(version=1), "version 1"),
        (qcow2(size=0), "no sense"),
        (qcow2()[:60], "cut short"),
        (qcow2()[:100], "cut short"),
        (qcow2(extensions=extension(1, b"") * 200), "no sense"),
        (qcow2(extensions=struct.pack(">II", 1, 0xFFFFFFFF)), "no sense"),
    ],
)
def test_a_qcow2_that_must_not_be_used(head: bytes, reason: str) -> None:
    assert reason in refusal(head)


def test_known_features_and_extensions_pass() -> None:
    head = qcow2(incompatible=0b11001, extensions=extension(0x6803F857, bytes(48)) + extension(0x23852875, bytes(24)))
    assert recognise(head, size_bytes=1).name == "qcow2"


def test_raw_disks_and_isos() -> None:
    disk = bytes(510) + b"\x55\xaa" + bytes(HEAD_BYTES)
    assert recognise(disk, size_bytes=1 << 20).virtual_size_bytes == 1 << 20
    iso = bytes(0x8001) + b"CD001" + bytes(HEAD_BYTES)
    assert recognise(iso, size_bytes=1 << 20).name == "raw"


@pytest.mark.parametrize(
    ("offset", "mark"), [(0x438, b"\x53\xef"), (0, b"XFSB"), (0, b"LUKS\xba\xbe"), (512, b"LABELONE"), (0xFF6, b"SWAPSPACE2")]
)
def test_a_raw_disk_may_begin_with_a_file_system(offset: int, mark: bytes) -> None:
    disk = bytes(offset) + mark + bytes(HEAD_BYTES)
    assert recognise(disk[:HEAD_BYTES], size_bytes=1 << 20).name == "raw"


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"<!DOCTYPE html><html>Please log in", "no disk image"),
        (b"", "no disk image"),
        (bytes(HEAD_BYTES), "no disk image"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"KDMV", "VMDK"),
        (b"PK\x03\x04", "zip"),
    ],
)
def test_what_is_no_base_image(head: bytes, reason: str) -> None:
    assert reason in refusal(head)


@given(st.binary(max_size=300))
def test_any_bytes_after_the_magic_are_judged_and_never_crash(rest: bytes) -> None:
    with suppress(ImageRefused):
        assert recognise(b"QFI\xfb" + rest, size_bytes=4 + len(rest)).virtual_size_bytes > 0


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="no qemu-img here (Debian: apt install qemu-utils)")
class TestAgainstQemuImg:
    """The same verdicts about images that QEMU itself wrote."""

    def made(self, folder: Path, *options: str, name: str = "image.qcow2") -> bytes:
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, name, "64M"], cwd=folder, check=True)
        return (folder / name).read_bytes()[:HEAD_BYTES]

    @pytest.mark.parametrize("compat", ["0.10", "1.1"])
    def test_plain(self, tmp_path: Path, compat: str) -> None:
        found = recognise(self.made(tmp_path, "-o", f"compat={compat}"), size_bytes=1)
        assert found.virtual_size_bytes == 64 << 20

    def test_with_a_backing_file(self, tmp_path: Path) -> None:
        self.made(tmp_path, name="base.qcow2")
        assert "backing file" in refusal(self.made(tmp_path, "-b", "base.qcow2", "-F", "qcow2"))

    def test_with_an_external_data_file(self, tmp_path: Path) -> None:
        assert "another file" in refusal(self.made(tmp_path, "-o", "data_file=data.raw,data_file_raw=on"))
