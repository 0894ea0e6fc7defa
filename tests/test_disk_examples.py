"""Every example of a VMDisk gets ready on a simulated host, is what it says, and goes again as it says."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from provisioner.drivers.simulated.images import SimulatedImage, SimulatedImages
from provisioner.model.documents import parse_documents
from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.metadata import Metadata
from provisioner.model.tables import Tables
from provisioner.model.vm_disk import RECLAIM_ANNOTATION, VMDisk
from tests.disk_images import qcow2
from tests.documents import ROOT
from tests.lifecycle.world import World

TABLES = Tables.builtin()
HOST = "gpu-04"
GIB = 2**30
FILES = sorted((ROOT / "examples").glob("vmdisk-*.yaml"))
WITH_CLASSES = ROOT / "examples/gpuhost-storage-classes.yaml"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world with the host that the examples name."""
    made = World(tmp_path)
    made.fleet.add_host(HOST, pools={"default": 1024 * GIB, "cephfs": 1024 * GIB, "nvme": 1024 * GIB})
    assert isinstance(made.ports.images, SimulatedImages)
    made.ports.images.stage("https://images.example.com/installer.iso", SimulatedImage(format="raw"))
    return made


def disks(world: World) -> tuple[VMDisk, ...]:
    return world.store.list(VMDisk).items


def upload(world: World, disk: VMDisk) -> None:
    """As `hikube disk upload`."""
    content = qcow2(2 * GIB)
    volumes = world.ports.connector.connect(f"simulated://{HOST}").volumes
    volumes.upload("default", f"hikube-disk-default.{disk.metadata.name}.qcow2", io.BytesIO(content), size_bytes=len(content))


def is_waiting_for_upload(disk: VMDisk) -> bool:
    return any(condition.reason == "WaitingForUpload" for condition in disk.status.conditions)


def test_there_is_one_of_each_form() -> None:
    sources: set[str] = set()
    for path in FILES:
        for disk in parse_documents(path.read_text(), source=path.name, tables=TABLES):
            assert isinstance(disk, VMDisk)
            sources |= set(disk.spec.source.as_json()) or {"blank"}
            sources |= {"optical"} if disk.spec.optical else set()
    assert sources == {"image", "http", "disk", "upload", "blank", "optical"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_its_disks_get_ready_and_go(world: World, path: Path) -> None:
    world.store.create(GPUHost(metadata=Metadata(name=HOST), spec=GPUHostSpec(uri=f"simulated://{HOST}")))
    world.apply(path.read_text()).pass_time(60)
    for disk in disks(world):
        if is_waiting_for_upload(disk):
            upload(world, disk)
    world.run(lambda: all(disk.status.phase == "Ready" for disk in disks(world)), timeout_s=600)
    assert all(disk.status.host == HOST for disk in disks(world))
    stay = [disk.status.volume for disk in disks(world) if RECLAIM_ANNOTATION in disk.metadata.annotations]
    for disk in disks(world):
        world.delete(disk.metadata.name, VMDisk)
    world.run(lambda: not disks(world))
    assert [leak.name for leak in world.leaks()] == stay


def test_the_classes_of_the_host_lead_to_its_pools(world: World) -> None:
    text = WITH_CLASSES.read_text().replace("qemu+ssh://root@gpu-04.example.com/system", f"simulated://{HOST}")
    for host in parse_documents(text, source=WITH_CLASSES.name, tables=TABLES):
        world.store.create(host)
    world.apply((ROOT / "examples/vmdisk-image.yaml").read_text())
    world.run(lambda: all(disk.status.phase == "Ready" for disk in disks(world)), timeout_s=600)
    assert [disk.status.pool for disk in disks(world)] == ["cephfs"]
