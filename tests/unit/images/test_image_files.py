"""Images that are files of this machine: used in place, hashed once, and what can never be an image."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest

from provisioner.clocks import ManualClock
from provisioner.drivers.images.cache import ImageCache
from provisioner.drivers.images.protocol import LocalImage
from provisioner.model.errors import ImageError, ImageRefused, InvalidInput
from tests.unit.images.test_image_formats import qcow2

CONTENT = qcow2(size=5 << 30) + random.Random(1).randbytes(100_000)
OTHER = qcow2(size=6 << 30) + random.Random(2).randbytes(100_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path / "images", clock=ManualClock())


def complaint(cache: ImageCache, url: str, *, sha256: str = "") -> ImageError:
    with pytest.raises(ImageError) as caught:
        cache.fetch(url, sha256=sha256)
    return caught.value


def test_a_file_is_used_where_it_is_and_hashed_once(cache: ImageCache, tmp_path: Path) -> None:
    file = tmp_path / "my image.qcow2"
    file.write_bytes(CONTENT)
    told: list[int] = []
    first = cache.fetch(file.as_uri(), progress=lambda done, total: told.append(done))
    assert first == LocalImage(file, DIGEST, len(CONTENT), 5 << 30, "qcow2")
    told.clear()
    assert cache.fetch(file.as_uri(), sha256=DIGEST, progress=lambda done, total: told.append(done)) == first
    assert told == []


def test_a_file_that_changed_is_hashed_again(cache: ImageCache, tmp_path: Path) -> None:
    file = tmp_path / "image.qcow2"
    file.write_bytes(CONTENT)
    cache.fetch(file.as_uri())
    file.write_bytes(OTHER)
    os.utime(file, ns=(1, 1))
    assert cache.fetch(file.as_uri()).sha256 == hashlib.sha256(OTHER).hexdigest()


def test_a_file_with_another_digest_is_refused_and_left_alone(cache: ImageCache, tmp_path: Path) -> None:
    file = tmp_path / "image.qcow2"
    file.write_bytes(CONTENT)
    error = complaint(cache, file.as_uri(), sha256="ab" * 32)
    assert isinstance(error, ImageRefused)
    assert DIGEST in error.why
    assert file.exists()


@pytest.mark.parametrize("name", ["absent", "."])
def test_what_is_no_file(cache: ImageCache, tmp_path: Path, name: str) -> None:
    complaint(cache, (tmp_path / name).as_uri())


@pytest.mark.parametrize(
    ("url", "sha256"),
    [
        ("ftp://h/x", ""),
        ("relative/path", ""),
        ("file://elsewhere/x", ""),
        ("file:x", ""),
        ("https://h/x", "abc"),
        ("https://h/x", "g" * 64),
    ],
)
def test_what_can_never_work_is_invalid_input(cache: ImageCache, url: str, sha256: str) -> None:
    with pytest.raises(InvalidInput):
        cache.fetch(url, sha256=sha256)


def test_a_cache_that_cannot_be_written_is_an_image_error(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("a file where a folder should be")
    complaint(ImageCache(tmp_path / "images", clock=ManualClock()), "http://127.0.0.1:1/x")
