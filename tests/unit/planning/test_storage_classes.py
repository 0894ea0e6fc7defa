"""Placement by storage class: each disk counts in the pool that its class is mapped to on that host."""

from __future__ import annotations

from provisioner.model.gpu_host import GPUHost, StoragePool
from provisioner.model.vm_disk import HOST_ANNOTATION, VMDisk
from provisioner.planning.disk_layout import disks_of
from provisioner.planning.placement import NoPlacement, Placement, place
from provisioner.planning.requests import request_for
from tests.unit.planning.factory import GIB, SIZE, TABLES, fleet, host, vm, vm_disk


def pool(name: str, available_gib: int, *, active: bool = True) -> StoragePool:
    return StoragePool(
        name=name, active=active, path=f"/{name}", capacity_bytes=1000 * GIB, available_bytes=available_gib * GIB
    )


def storing(name: str, *pools: StoragePool, **classes: str) -> GPUHost:
    return host(name, spec={"storage_classes": classes}, storage_pools=(pool("default", 30), *pools))


def placed(machine: object, *hosts: GPUHost, disks: tuple[VMDisk, ...] = ()) -> Placement | NoPlacement:
    return place(request_for(machine, size=SIZE, tables=TABLES, vm_disks=disks), fleet(*hosts))  # type: ignore[arg-type]


def test_a_disk_counts_in_the_pool_of_its_class_only() -> None:
    data = vm_disk("data", storage="400Gi", storage_class="local")
    where = placed(vm(), storing("a"), storing("b", pool("nvme", 500), local="nvme"), disks=(data,))
    assert isinstance(where, Placement)
    assert where.host == "b"


def test_what_is_short_is_said_of_the_pool_that_is_short() -> None:
    data = vm_disk("data", storage="400Gi", storage_class="local")
    refused = placed(vm(), storing("b", pool("nvme", 100), local="nvme"), disks=(data,))
    assert isinstance(refused, NoPlacement)
    assert "100 GiB of storage free in pool nvme, 400 GiB needed" in str(refused.refused)


def test_disks_of_one_pool_count_together_whatever_their_class() -> None:
    disks = tuple(vm_disk(name, storage="60Gi", storage_class=name) for name in ("one", "two"))
    refused = placed(vm(), storing("a", pool("nvme", 100), one="nvme", two="nvme"), disks=disks)
    assert isinstance(refused, NoPlacement)
    assert "120 GiB needed" in str(refused.refused)


def test_a_class_whose_pool_is_missing_or_stopped_keeps_its_disks_away() -> None:
    data = vm_disk("data", storage="1Gi", storage_class="local")
    for there in ((), (pool("nvme", 500, active=False),)):
        refused = placed(vm(), storing("a", *there, local="nvme"), disks=(data,))
        assert isinstance(refused, NoPlacement)
        assert refused.counts == {"PoolMissing": 1} or "storage pool nvme" in str(refused.refused)


def test_a_disk_that_shall_be_on_a_host_takes_its_vm_there() -> None:
    data = vm_disk("data", storage="1Gi")
    wished = data.with_metadata(annotations={HOST_ANNOTATION: "b"})
    where = placed(vm(), storing("a"), storing("b"), disks=(wished,))
    assert isinstance(where, Placement)
    assert where.host == "b"


def test_a_disk_is_attached_from_where_it_is_and_not_from_where_its_class_is_mapped_now() -> None:
    data = vm_disk("data", host_name="a", volume="v.raw", storage_class="local")
    lying = data.with_status(pool="old")
    machine = vm(disks=({"name": "data"},)).with_status(system_volume="s.qcow2", system_pool="ssd")
    layout = disks_of(machine, vm_disks=(lying,), host=storing("a", local="nvme").spec)
    assert [(disk.pool, disk.volume, disk.format) for disk in layout[:2]] == [
        ("ssd", "s.qcow2", "qcow2"),
        ("old", "v.raw", "raw"),
    ]
    assert layout[-1].pool == "default"
