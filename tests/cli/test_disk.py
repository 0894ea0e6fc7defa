"""`hikube disk`: what a user does with disks on a simulated host, exit codes and what is said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.cli.conftest import Hikube
from tests.cli.test_stories import TRAIN, fleet
from tests.disk_images import iso, qcow2, raw_disk

__all__ = ["fleet"]

MIB = 2**20


def stored(hikube: Hikube, name: str) -> Any:
    return json.loads(hikube("disk", "show", name, "-o", "json").out)


def file(hikube: Hikube, name: str, content: bytes) -> str:
    (hikube.home / name).write_bytes(content)
    return str(hikube.home / name)


def test_a_disk_from_nothing_to_gone(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet("disk", "create", "data", "--size", "20Gi", "--host", "sim").shown() == snapshot
    assert fleet("disk", "create", "data", "--size", "20Gi", "--host", "sim", "--error-unchanged").code == 3
    assert fleet("disk", "list").shown() == snapshot
    assert fleet("disk", "list", "-o", "wide").shown() == snapshot
    assert fleet("disk", "show", "data").shown() == snapshot
    assert fleet("disk", "grow", "data", "30Gi").shown() == snapshot
    assert fleet("disk", "grow", "data", "10Gi").shown() == snapshot
    assert stored(fleet, "data")["status"]["capacityBytes"] == 30 * 2**30
    assert fleet("disk", "delete", "data", "--dry-run").shown() == snapshot
    assert fleet("disk", "delete", "data").shown() == snapshot
    assert fleet("disk", "list", "-o", "name").out == ""


def test_a_disk_that_nobody_uses_yet_waits_for_its_first_vm(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet("disk", "create", "data", "--image", "tiny", "--size", "4Gi").shown() == snapshot
    assert fleet("disk", "create", "plan", "--image", "tiny", "--dry-run").shown() == snapshot
    assert fleet("disk", "show", "plan").code == 11


@pytest.mark.parametrize(
    ("name", "content", "ending"),
    [("d.qcow2", qcow2(1 << 30), "qcow2"), ("d.img", raw_disk(MIB), "raw")],
    ids=["qcow2", "raw"],
)
def test_a_file_is_uploaded_once(fleet: Hikube, name: str, content: bytes, ending: str) -> None:
    path = file(fleet, name, content)
    assert fleet("disk", "create", "mine", "--upload", "--size", "4Gi").code == 0
    done = fleet("disk", "upload", "mine", path)
    assert (done.code, done.out) == (0, "mine Ready sim\n"), done.err
    disk = stored(fleet, "mine")
    assert disk["status"]["volume"] == f"hikube-disk-default.mine.{ending}"
    assert disk["status"]["capacityBytes"] == 4 << 30
    assert (disk["status"]["origin"]["source"], disk["status"]["origin"]["name"]) == ("upload", name)
    assert len(disk["status"]["origin"]["sha256"]) == 64
    assert fleet("disk", "upload", "mine", path).code == 0
    assert fleet("disk", "upload", "mine", path, "--error-unchanged").code == 3
    assert fleet("disk", "upload", "mine", file(fleet, "other.img", raw_disk(2 * MIB))).code == 5


def test_an_iso_becomes_a_cd_rom(fleet: Hikube) -> None:
    assert fleet("disk", "create", "cd", "--upload", "--optical", "--size", "1Gi").code == 0
    assert fleet("disk", "upload", "cd", file(fleet, "installer.iso", iso(MIB))).code == 0
    assert stored(fleet, "cd")["status"]["volume"] == "hikube-disk-default.cd.iso"
    assert stored(fleet, "cd")["status"]["capacityBytes"] == MIB


def test_files_that_are_not_for_the_disk_are_refused_before_anything_is_sent(
    fleet: Hikube, snapshot: SnapshotAssertion
) -> None:
    assert fleet("disk", "create", "mine", "--upload", "--size", "1Gi").code == 0
    for content in (qcow2(8 << 30), qcow2(1 << 30, backing_offset=104), b"just text\n"):
        assert fleet("disk", "upload", "mine", file(fleet, "x", content)).shown() == snapshot
    assert fleet("disk", "upload", "mine", f"{fleet.home}/none").shown() == snapshot
    assert fleet("disk", "create", "blank", "--host", "sim").code == 0
    assert fleet("disk", "upload", "blank", file(fleet, "x", raw_disk(MIB))).shown() == snapshot
    assert fleet("disk", "upload", "nobodys", file(fleet, "x", raw_disk(MIB))).code == 11
    assert stored(fleet, "mine")["status"]["phase"] == "Pending"


def test_of_several_hosts_one_must_be_named(fleet: Hikube) -> None:
    assert fleet("host", "add", "two", f"simulated://l40s?state={fleet.home}/two.json").code == 0
    assert fleet("disk", "create", "mine", "--upload", "--size", "1Gi").code == 0
    path = file(fleet, "x.img", raw_disk(MIB))
    assert fleet("disk", "upload", "mine", path).code == 2
    assert fleet("disk", "upload", "mine", path, "--host", "nowhere").code == 2
    assert fleet("disk", "upload", "mine", path, "--host", "two", "--dry-run").code == 0
    assert fleet("disk", "upload", "mine", path, "--host", "two").code == 0
    assert stored(fleet, "mine")["status"]["host"] == "two"


def test_a_disk_is_copied(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet("disk", "create", "root", "--image", "tiny", "--size", "4Gi", "--host", "sim").code == 0
    assert fleet("disk", "clone", "root", "copied").shown() == snapshot
    assert fleet("disk", "clone", "root", "small", "--size", "1Gi", "--timeout", "20s").code == 9
    assert fleet("disk", "clone", "nothing", "x").code == 11
    assert fleet("disk", "create", "nowhere", "--size", "4Gi").code == 0
    assert fleet("disk", "clone", "nowhere", "x").code == 5
    assert stored(fleet, "copied")["status"]["origin"]["name"] == "root"


def test_the_disk_of_a_running_vm_is_not_copied(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet("disk", "create", "root", "--image", "tiny", "--size", "4Gi").code == 0
    vm = fleet.file("vm.yaml", INSTANCE)
    assert fleet("apply", "-f", vm, "--wait", "--timeout", "60s").code == 0
    assert fleet("disk", "clone", "root", "copied").shown() == snapshot
    assert fleet("disk", "grow", "root", "8Gi").shown() == snapshot


def test_a_disk_that_shrinks_or_changes_its_class_is_refused_at_the_door(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    path = fleet.file("disk.yaml", DISK)
    assert fleet("apply", "-f", path).code == 0
    assert fleet("apply", "-f", fleet.file("disk.yaml", DISK.replace("20Gi", "10Gi"))).shown() == snapshot
    assert fleet("apply", "-f", fleet.file("disk.yaml", DISK.replace("20Gi", "20Gi, storageClass: local"))).shown() == snapshot


def test_a_vms_own_disk_does_not_shrink_either(fleet: Hikube) -> None:
    assert fleet(*TRAIN).code == 0
    vm = json.loads(fleet("gpu", "vm", "show", "train", "-o", "json").out)
    vm["spec"]["systemDisk"]["storage"] = "3Gi"
    refused = fleet("apply", "-f", fleet.file("vm.json", json.dumps(vm)))
    assert (refused.code, "storage is 4Gi, not 3Gi" in refused.err) == (2, True)


def test_a_class_without_a_pool_is_told(fleet: Hikube) -> None:
    told = fleet("disk", "create", "one", "--class", "local", "--no-wait").err
    assert "storageClass local has no effect on any host" in told
    assert "has no effect" not in fleet("disk", "create", "two", "--no-wait").err
    uri = f"simulated://l40s?state={fleet.home}/two.json"
    assert fleet("host", "add", "two", uri, "--storage-class", "local=default").code == 0
    assert "has no effect on host sim" in fleet("disk", "create", "three", "--class", "local", "--no-wait").err


def test_what_is_kept_is_listed(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet("disk", "leftovers").shown() == snapshot
    assert fleet("disk", "create", "data", "--size", "20Gi", "--host", "sim").code == 0
    assert fleet("disk", "delete", "data", "--retain").shown() == snapshot
    assert fleet("disk", "leftovers").shown() == snapshot
    assert json.loads(fleet("disk", "leftovers", "-o", "json").out)["items"][0]["host"] == "sim"
    assert fleet("disk", "leftovers", "simm").code == 11, "a host that nobody knows is not one without leftovers"


def test_a_disk_begins_as_an_image_that_there_is(fleet: Hikube) -> None:
    result = fleet("disk", "create", "system", "--image", "ubunt")
    assert (result.code, "did you mean ubuntu?" in result.err) == (2, True)
    assert fleet("disk", "list", "-o", "name").out == ""


def test_a_vm_is_deleted_and_its_disk_stays(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet(*TRAIN).code == 0
    assert fleet("gpu", "vm", "delete", "train", "--keep-disk", "kept", "--dry-run").shown() == snapshot
    assert fleet("gpu", "vm", "delete", "train", "--keep-disk", "No good").code == 2
    deleted = fleet("gpu", "vm", "delete", "train", "--keep-disk", "kept")
    assert (deleted.code, deleted.out) == (0, "virtualmachine/train deleted\n")
    assert fleet("wait", "disk/kept", "--for=condition=Ready", "--timeout", "30s").code == 0
    assert stored(fleet, "kept")["status"]["origin"]["name"] == "train"
    assert fleet("disk", "leftovers").out == ""


INSTANCE = """
apiVersion: apps.cozystack.io/v1alpha1
kind: VMInstance
metadata: {name: first}
spec: {instanceType: u1.large, disks: [root], sshKeys: []}
"""
DISK = """
apiVersion: apps.cozystack.io/v1alpha1
kind: VMDisk
metadata: {name: data}
spec: {storage: 20Gi}
"""
