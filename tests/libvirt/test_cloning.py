"""Copies of volumes on a real libvirtd: the same content, nothing below, nothing in sight before it is complete."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import threading

import pytest

from provisioner.model.errors import Conflict, HikubeError, NotFound, Unsupported
from tests.disk_images import raw_disk
from tests.libvirt.private_daemon import until
from tests.libvirt.test_volumes import image_info

POOL = "default"
MIB = 1024**2
LARGE_BYTES = 2 * 1024 * MIB
"""Of zeros: it takes some seconds to read, and no room."""


@pytest.fixture
def name(request, connector, libvirt_qemu_uri):
    yield request.node.name
    volumes = connector.connect(libvirt_qemu_uri).volumes
    for volume in volumes.list(POOL, prefix=request.node.name):
        volumes.delete(POOL, volume.name)
    until(lambda: _are_deleted(volumes, request.node.name), "a copy is still being made")


def _are_deleted(volumes, name: str) -> bool:
    try:
        for ending in (".copy.qcow2", ".copy.raw"):
            volumes.delete(POOL, name + ending)
    except HikubeError:
        return False
    return True


def content_of(path: str) -> bytes:
    """The first MiB that a guest would read."""
    command = ["qemu-img", "dd", "-O", "raw", "bs=1M", "count=1", f"if={path}", "of=/dev/stdout"]
    with open(path, "rb") as file:
        if file.read(4) != b"QFI\xfb":
            file.seek(0)
            return file.read(MIB)
    raw = f"{path}.raw"
    subprocess.run([*command[:-1], f"of={raw}"], check=True, capture_output=True)
    try:
        with open(raw, "rb") as file:
            return file.read(MIB)
    finally:
        os.unlink(raw)


def overlay(host, name: str) -> str:
    """An overlay of 64 MiB over a raw base with content; its path."""
    content = os.urandom(MIB - 512) + raw_disk(512)
    host.volumes.upload(POOL, f"{name}.base.raw", io.BytesIO(content), size_bytes=MIB)
    return str(host.volumes.create(POOL, f"{name}.origin.qcow2", size_bytes=64 * MIB, base=f"{name}.base.raw").path)


def test_a_copy_of_an_overlay_has_its_content_and_nothing_below(host, name):
    path = overlay(host, name)
    wanted = content_of(path)
    told: list[tuple[int, int]] = []
    copied = host.volumes.clone(
        POOL, f"{name}.copy.qcow2", origin=f"{name}.origin.qcow2", progress=lambda *pair: told.append(pair)
    )
    info = image_info(copied.path)
    assert (info["format"], info["virtual-size"], info.get("backing-filename")) == ("qcow2", 64 * MIB, None)
    host.volumes.delete(POOL, f"{name}.base.raw")
    assert content_of(copied.path) == wanted
    assert all(done <= total for done, total in told)


def test_a_copy_of_a_raw_disk_is_raw(host, name):
    content = os.urandom(MIB - 512) + raw_disk(512)
    host.volumes.upload(POOL, f"{name}.origin.raw", io.BytesIO(content), size_bytes=MIB)
    copied = host.volumes.clone(POOL, f"{name}.copy.raw", origin=f"{name}.origin.raw")
    with open(copied.path, "rb") as file:
        assert file.read() == content


def test_a_guest_that_writes_the_header_of_another_format_into_its_raw_disk_gets_no_file_of_the_host(daemon, host, name):
    secret = daemon.root / "secret"
    secret.write_bytes(b"secret of the host".ljust(MIB, b"!"))
    forged = daemon.root / "forged.qcow2"
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(secret), "-F", "raw", str(forged), "1M"]
    subprocess.run(create, check=True)
    disk = host.volumes.upload(POOL, f"{name}.origin.raw", io.BytesIO(raw_disk(MIB)), size_bytes=MIB)
    with open(disk.path, "r+b") as file:  # as the guest may, which has this disk
        file.write(forged.read_bytes())
    with pytest.raises(Unsupported):
        host.volumes.clone(POOL, f"{name}.copy.raw", origin=f"{name}.origin.raw")
    assert host.volumes.find(POOL, f"{name}.copy.raw") is None


def test_a_copy_is_out_of_sight_until_it_is_complete_and_nobody_begins_a_second(daemon, host, name):
    large(daemon, f"{name}.origin.raw")
    done: list[str] = []
    thread = threading.Thread(
        target=lambda: done.append(host.volumes.clone(POOL, f"{name}.copy.raw", origin=f"{name}.origin.raw").name)
    )
    thread.start()
    until(lambda: (daemon.root / "pools" / POOL / f"{name}.copy.raw").exists(), "the copy has not begun")
    assert host.volumes.find(POOL, f"{name}.copy.raw") is None
    assert host.volumes.list(POOL, prefix=f"{name}.copy") == ()
    with pytest.raises(Conflict):
        host.volumes.clone(POOL, f"{name}.copy.raw", origin=f"{name}.origin.raw")
    thread.join(120)
    assert done == [f"{name}.copy.raw"]
    assert host.volumes.find(POOL, f"{name}.copy.raw").capacity_bytes == LARGE_BYTES


def test_a_copy_whose_libvirtd_dies_leaves_nothing_in_sight_and_the_next_one_goes_well(
    daemon, connector, name, libvirt_qemu_uri
):
    large(daemon, f"{name}.origin.raw")
    failures: list[HikubeError] = []

    def clone() -> None:
        try:
            connector.connect(libvirt_qemu_uri).volumes.clone(POOL, f"{name}.copy.raw", origin=f"{name}.origin.raw")
        except HikubeError as error:
            failures.append(error)

    thread = threading.Thread(target=clone)
    thread.start()
    until(lambda: (daemon.root / "pools" / POOL / f"{name}.copy.raw").exists(), "the copy has not begun")
    daemon.kill_libvirtd()
    thread.join(120)
    daemon.start_libvirtd()
    assert len(failures) == 1
    volumes = connector.connect(libvirt_qemu_uri).volumes
    assert volumes.find(POOL, f"{name}.copy.raw") is None
    small = f"{name}.small.raw"
    volumes.upload(POOL, small, io.BytesIO(raw_disk(MIB)), size_bytes=MIB)
    assert volumes.clone(POOL, f"{name}.copy.raw", origin=small).capacity_bytes == MIB


def test_a_pool_that_is_stopped_says_so(daemon, host, name):
    daemon.make_pool(name)
    assert host.volumes.space(name).is_active
    virsh = ["virsh", "--connect", daemon.uri]
    subprocess.run([*virsh, "pool-destroy", name], check=True, capture_output=True)
    space = host.volumes.space(name)
    assert (space.is_active, space.available_bytes) == (False, 0)
    with pytest.raises(Conflict):
        host.volumes.find(name, "anything")
    subprocess.run([*virsh, "pool-undefine", name], check=True, capture_output=True)
    with pytest.raises(NotFound):
        host.volumes.space(name)


def large(daemon, name: str) -> None:
    """A raw disk of zeros, laid into the pool."""
    with (daemon.root / "pools" / POOL / name).open("wb") as file:
        file.write(struct.pack("510sH", b"", 0xAA55))
        file.truncate(LARGE_BYTES)
