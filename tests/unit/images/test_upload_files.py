"""Files that shall go to a host: judged once, and what was judged is what is read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from provisioner.drivers.images.uploads import UploadFile
from provisioner.model.errors import ImageError, ImageRefused, NotFound
from tests.disk_images import iso, qcow2, raw_disk

MIB = 2**20


@pytest.mark.parametrize(
    ("content", "image_format", "virtual_size"),
    [(qcow2(1 << 30), "qcow2", 1 << 30), (raw_disk(MIB), "raw", MIB), (iso(MIB), "raw", MIB)],
    ids=["qcow2", "raw", "iso"],
)
def test_it_says_what_it_is_and_gives_its_content(tmp_path: Path, content: bytes, image_format: str, virtual_size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with UploadFile(path) as file:
        assert (file.format, file.virtual_size_bytes, file.size_bytes) == (image_format, virtual_size, len(content))
        assert file.sha256() == hashlib.sha256(content).hexdigest()
        assert b"".join(iter(lambda: file.read(100_000), b"")) == content
        file.seek(len(content) - 10)
        assert file.read() == content[-10:]


@pytest.mark.parametrize("content", [qcow2(1 << 30, backing_offset=104), b"", b"just text", b"KDMV" + bytes(512)])
def test_what_cannot_be_used_is_refused_at_once(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ImageRefused):
        UploadFile(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        UploadFile(tmp_path / "none")
    with pytest.raises(ImageError):
        UploadFile(tmp_path)


def test_a_file_that_becomes_another_one_after_it_was_judged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(raw_disk(MIB))
    with UploadFile(path) as file:
        path.write_bytes(qcow2(1 << 30, backing_offset=104))
        with pytest.raises(ImageRefused):
            file.read(MIB)


def test_a_file_that_is_written_to_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(raw_disk(4 * MIB))
    with UploadFile(path) as file:
        file.read(MIB)
        with path.open("r+b") as same:
            same.seek(3 * MIB)
            same.write(b"new")
        os.utime(path, ns=(0, 0))
        with pytest.raises(ImageRefused):
            file.read(MIB)
