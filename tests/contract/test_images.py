"""Every sentence of provisioner/drivers/images/protocol.py that a network is not needed for."""

from __future__ import annotations

import hashlib

import pytest

from provisioner.clocks import ManualClock
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.images import SimulatedImage, SimulatedImages
from provisioner.model.errors import HostUnreachable, ImageError, ImageRefused, InvalidInput

URL = "https://images.example/debian-13.qcow2"


@pytest.fixture
def fleet():
    return SimulatedFleet(ManualClock())


@pytest.fixture
def images(tmp_path, fleet):
    return SimulatedImages(tmp_path / "images", world=fleet.world)


def test_an_image_is_a_file_of_the_size_it_says(images):
    told = []
    image = images.fetch(URL, progress=lambda done, all_: told.append((done, all_)))
    assert image.path.stat().st_size == image.size_bytes
    assert image.path.read_bytes().startswith(b"QFI\xfb")
    assert image.format == "qcow2"
    assert image.virtual_size_bytes > image.size_bytes
    assert told[-1] == (image.size_bytes, image.size_bytes)


def test_without_a_digest_it_says_what_it_is(images):
    image = images.fetch(URL)
    assert image.sha256 == hashlib.sha256(image.path.read_bytes()).hexdigest()
    assert images.fetch(URL) == image


def test_two_images_are_two_files(images):
    assert images.fetch(URL).path != images.fetch(URL + "?other").path


def test_an_image_that_nobody_staged_has_the_digest_that_was_promised(images):
    assert images.fetch(URL, sha256="ab" * 32).sha256 == "ab" * 32


def test_a_wrong_download_is_refused_naming_both_digests_and_removed(images):
    images.stage(URL, SimulatedImage(sha256="cd" * 32))
    with pytest.raises(ImageRefused) as caught:
        images.fetch(URL, sha256="ab" * 32)
    assert "ab" * 32 in caught.value.why
    assert "cd" * 32 in caught.value.why
    assert not list(images.directory.iterdir())


def test_what_is_no_disk_image_is_refused_and_removed(images):
    images.stage(URL, SimulatedImage(format="html"))
    with pytest.raises(ImageRefused):
        images.fetch(URL)
    assert not list(images.directory.iterdir())


def test_a_missing_image_may_come_and_an_unknown_scheme_never_will(images):
    images.stage(URL, SimulatedImage(is_missing=True))
    with pytest.raises(ImageError) as caught:
        images.fetch(URL)
    assert not isinstance(caught.value, ImageRefused)
    with pytest.raises(InvalidInput):
        images.fetch("gopher://images.example/x")


def test_a_staged_fault_hits_one_fetch(images, fleet):
    fleet.faults.next(call="images.fetch", error=HostUnreachable("the network is gone"))
    with pytest.raises(HostUnreachable):
        images.fetch(URL)
    assert images.fetch(URL).size_bytes
    assert fleet.calls.names("images.*") == ("images.fetch", "images.fetch")
