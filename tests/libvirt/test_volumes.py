"""Volumes on a real disk: uploads that break, and what QEMU's own tools say about the files."""

from __future__ import annotations

import io
import json
import os
import subprocess
import threading

import pytest

from provisioner.drivers.libvirt import LibvirtConnector
from provisioner.model.errors import Conflict, HostUnreachable
from tests.libvirt.private_daemon import until

POOL = "default"
MIB = 1024**2


class Gated(io.RawIOBase):
    """Content that stops after its first MiB until the gate is opened."""

    def __init__(self, size_bytes: int) -> None:
        self.waits, self.gate = threading.Event(), threading.Event()
        self._left = size_bytes
        self._free = MIB

    def read(self, size: int = -1) -> bytes:
        if self._free <= 0 and not self.gate.is_set():
            self.waits.set()
            assert self.gate.wait(60)
        piece = b"x" * min(size, self._left)
        self._left -= len(piece)
        self._free -= len(piece)
        return piece


@pytest.fixture
def name(request, connector, libvirt_qemu_uri):
    yield request.node.name
    connector.connect(libvirt_qemu_uri).volumes.delete(POOL, request.node.name)


def image_info(path: str) -> dict[str, object]:
    return json.loads(subprocess.run(["qemu-img", "info", "--output=json", path], capture_output=True, check=True).stdout)


def test_what_is_uploaded_is_what_lies_there(host, name):
    content = bytes(range(256)) * 4096 * 3 + b"end"
    made = host.volumes.upload(POOL, name, io.BytesIO(content), size_bytes=len(content))
    with open(made.path, "rb") as file:
        assert file.read() == content


def test_an_overlay_over_an_uploaded_qcow2_image_names_its_format(host, name, tmp_path):
    local = tmp_path / "base.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(local), "64M"], check=True)
    content = local.read_bytes()
    base = host.volumes.upload(POOL, f"{name}.base", io.BytesIO(content), size_bytes=len(content))
    overlay = host.volumes.create(POOL, name, size_bytes=128 * MIB, base=f"{name}.base")
    info = image_info(overlay.path)
    host.volumes.delete(POOL, f"{name}.base")
    assert info["virtual-size"] == 128 * MIB
    assert (info["full-backing-filename"], info["backing-filename-format"]) == (base.path, "qcow2")


def test_an_upload_is_out_of_sight_until_it_is_complete_and_nobody_begins_a_second(host, name):
    content = Gated(3 * MIB)
    done: list[str] = []
    upload = threading.Thread(target=lambda: done.append(host.volumes.upload(POOL, name, content, size_bytes=3 * MIB).name))
    upload.start()
    assert content.waits.wait(30)
    assert host.volumes.find(POOL, name) is None
    assert host.volumes.list(POOL, prefix=name) == ()
    with pytest.raises(Conflict):
        host.volumes.upload(POOL, name, io.BytesIO(b"y"), size_bytes=1)
    content.gate.set()
    upload.join(60)
    assert done == [name]
    assert host.volumes.find(POOL, name).capacity_bytes == 3 * MIB


def test_an_upload_that_another_process_overtook_says_so(host, name, libvirt_qemu_uri):
    content, failures = Gated(3 * MIB), []

    def upload() -> None:
        try:
            host.volumes.upload(POOL, name, content, size_bytes=3 * MIB)
        except Conflict as error:
            failures.append(error)

    first = threading.Thread(target=upload)
    first.start()
    assert content.waits.wait(30)
    elsewhere = LibvirtConnector()
    elsewhere.connect(libvirt_qemu_uri).volumes.upload(POOL, name, io.BytesIO(b"y" * MIB), size_bytes=MIB)
    content.gate.set()
    first.join(60)
    assert len(failures) == 1
    found = elsewhere.connect(libvirt_qemu_uri).volumes.find(POOL, name)
    elsewhere.close()
    with open(found.path, "rb") as file:
        assert file.read() == b"y" * MIB


def test_an_upload_that_loses_its_connection_leaves_nothing_in_sight_and_the_next_one_goes_well(
    daemon, connector, name, libvirt_qemu_uri
):
    content, failures = Gated(3 * MIB), []

    def upload() -> None:
        try:
            connector.connect(libvirt_qemu_uri).volumes.upload(POOL, name, content, size_bytes=3 * MIB)
        except HostUnreachable as error:
            failures.append(error)

    thread = threading.Thread(target=upload)
    thread.start()
    assert content.waits.wait(30)
    daemon.kill_libvirtd()
    content.gate.set()
    thread.join(60)
    daemon.start_libvirtd()
    assert len(failures) == 1
    volumes = connector.connect(libvirt_qemu_uri).volumes
    assert volumes.find(POOL, name) is None
    volumes.upload(POOL, name, io.BytesIO(b"z" * MIB), size_bytes=MIB)
    assert volumes.find(POOL, name).capacity_bytes == MIB


def test_a_file_that_appeared_behind_libvirts_back_is_found(daemon, host, name):
    (daemon.root / "pools" / POOL / name).write_bytes(b"by hand")
    assert host.volumes.find(POOL, name).capacity_bytes == 7


def test_looking_for_a_volume_is_no_failure_while_another_one_is_being_made(host, name):
    maker = threading.Thread(target=host.volumes.create, args=(POOL, name), kwargs={"size_bytes": 2**40})
    maker.start()
    while maker.is_alive():
        assert host.volumes.find(POOL, f"{name}.absent") is None
    until(lambda: host.volumes.find(POOL, name) is not None, "it was not made")


class Recorded(io.BytesIO):
    """Content that knows where reading began."""

    began = -1

    def seek(self, offset: int, whence: int = 0) -> int:
        self.began = offset
        return super().seek(offset, whence)


def test_an_upload_with_an_identity_goes_on_where_its_connection_was_lost(daemon, connector, name, libvirt_qemu_uri):
    content = os.urandom(MIB) * 100
    failures = []

    def die(done: int, _all: int) -> None:
        if done >= 70 * MIB and not failures:
            failures.append(done)
            daemon.kill_libvirtd()

    volumes = connector.connect(libvirt_qemu_uri).volumes
    with pytest.raises(HostUnreachable):
        volumes.upload(POOL, name, io.BytesIO(content), size_bytes=len(content), identity="ab" * 32, progress=die)
    daemon.start_libvirtd()
    volumes = connector.connect(libvirt_qemu_uri).volumes
    assert volumes.find(POOL, name) is None
    again = Recorded(content)
    made = volumes.upload(POOL, name, again, size_bytes=len(content), identity="ab" * 32)
    assert again.began == 64 * MIB  # two segments were acknowledged
    with open(made.path, "rb") as file:
        assert file.read() == content


def test_another_content_of_the_same_name_begins_anew(daemon, connector, name, libvirt_qemu_uri):
    content = b"x" * 40 * MIB
    volumes = connector.connect(libvirt_qemu_uri).volumes
    with pytest.raises(OSError, match="gone"):
        volumes.upload(POOL, name, Ending(content), size_bytes=len(content), identity="ab" * 32)
    other = Recorded(b"y" * 40 * MIB)
    made = volumes.upload(POOL, name, other, size_bytes=40 * MIB, identity="cd" * 32)
    assert other.began == 0
    with open(made.path, "rb") as file:
        assert file.read(MIB) == b"y" * MIB


class Ending(io.BytesIO):
    """Content that cannot be read to its end."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= 36 * MIB:
            raise OSError("the disk that this was read from is gone")
        return super().read(size)
