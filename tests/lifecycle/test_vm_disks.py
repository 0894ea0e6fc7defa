"""VMDisks and the VMInstances that use them: in any order, one at a time, growing, moving on to the next VM."""

from __future__ import annotations

import io

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.drivers.simulated.images import SimulatedImage, SimulatedImages
from provisioner.model.errors import HikubeError, HypervisorError
from provisioner.model.metadata import find_condition
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, DiskReference, Phase, VMInstance
from provisioner.model.vm_disk import VMDisk
from tests.disk_images import qcow2, raw_disk
from tests.lifecycle.disks import disk_is_ready, disk_yaml, instance_yaml, is_ready, said_of_disk, why_not_scheduled
from tests.lifecycle.world import World, vm_yaml

MIB = 2**20


def test_an_instance_waits_for_its_disk_to_be_created(world: World) -> None:
    world.host("a").apply(instance_yaml("first", "root")).pass_time(1800)
    assert world.vm("first", VMInstance).status.phase is Phase.PENDING
    assert why_not_scheduled(world, "first") == "DiskMissing"
    world.apply(disk_yaml("root")).run(lambda: is_ready(world, "first"))


def test_a_second_instance_waits_for_the_disk_and_gets_it(world: World) -> None:
    world.host("a").apply(disk_yaml("root")).apply(instance_yaml("first", "root")).settle()
    world.apply(instance_yaml("second", "root")).pass_time(3 * 3600)
    assert why_not_scheduled(world, "second") == "DiskInUse"
    world.delete("first", VMInstance).run(lambda: is_ready(world, "second"))
    assert world.disk("root").status.used_by == "second"


def test_an_instance_made_anew_over_its_old_disk_is_reached(world: World) -> None:
    """Its host key is new, so cloud-init must take it for a new machine and put that key in place."""
    world.host("a").apply(disk_yaml("root")).apply(instance_yaml("first", "root")).settle()
    world.delete("first", VMInstance).run(lambda: not world.exists("first", VMInstance))
    world.apply(instance_yaml("first", "root")).run(lambda: is_ready(world, "first"))
    assert world.vm("first", VMInstance).status.consecutive_failures == 0


def test_an_instance_that_gets_its_first_boot_disk_back_is_reached(world: World) -> None:
    world.host("a").apply(disk_yaml("one")).apply(disk_yaml("two")).apply(instance_yaml("first", "one")).settle()
    for number, name in enumerate(("two", "one", "two")):
        vm = world.vm("first", VMInstance)
        spec = vm.spec.model_copy(update={"disks": (DiskReference(name=name),)})
        request = {REQUEST_ANNOTATION: f"restart:{number}"}
        world.store.update(vm.model_copy(update={"spec": spec}).with_metadata(annotations=request))
        world.run(lambda: not is_ready(world, "first")).run(lambda: is_ready(world, "first"))
    assert world.vm("first", VMInstance).status.consecutive_failures == 0


def test_a_disk_grows_when_its_vm_restarts_however_long_that_takes(world: World) -> None:
    world.host("a").apply(disk_yaml("root")).apply(instance_yaml("first", "root")).settle()
    world.apply(disk_yaml("root", storage="20Gi")).pass_time(2 * 3600)
    assert not [event for event in world.store.events() if event.reason == "DiskFailed"]
    assert is_ready(world, "first")
    vm = world.vm("first", VMInstance)
    world.store.update(vm.with_metadata(annotations={REQUEST_ANNOTATION: "restart:1"}))
    world.run(lambda: world.disk("root").status.capacity_bytes == 20 * 2**30 and is_ready(world, "first"))


def test_a_disk_that_waits_for_an_upload_costs_no_gpu_and_no_attempt(world: World) -> None:
    world.host("a").apply(disk_yaml("root", source="{upload: {}}")).apply(instance_yaml("first", "root")).pass_time(6 * 3600)
    assert why_not_scheduled(world, "first") == "WaitingForUpload"
    assert world.vm("first", VMInstance).status.consecutive_failures == 0


def test_a_disk_that_the_spec_lets_go_is_free_after_the_restart(world: World) -> None:
    world.host("a").apply(disk_yaml("root")).apply(disk_yaml("data")).apply(instance_yaml("first", "root", "data")).settle()
    vm = world.vm("first", VMInstance)
    spec = vm.spec.model_copy(update={"disks": (DiskReference(name="root"),)})
    world.store.update(vm.model_copy(update={"spec": spec}).with_metadata(annotations={REQUEST_ANNOTATION: "restart:1"}))
    world.run(lambda: world.disk("data").status.used_by == "" and is_ready(world, "first"))
    world.delete("data", VMDisk).run(lambda: not world.exists("data", VMDisk))


def test_an_instance_restarts_with_a_disk_whose_deletion_waits_for_it(world: World) -> None:
    world.host("a").apply(disk_yaml("root")).apply(instance_yaml("first", "root")).settle()
    world.delete("root", VMDisk).pass_time(60)
    world.fleet.host("a").kill_qemu(world.vm("first", VMInstance).status.domain)
    world.run(lambda: not is_ready(world, "first")).run(lambda: is_ready(world, "first"))
    world.delete("first", VMInstance).run(lambda: not world.exists("root", VMDisk))
    assert world.leaks() == []


def test_a_disk_that_is_deleted_before_it_has_a_volume_goes(world: World) -> None:
    world.host("a").settle()
    world.fleet.faults.stage(Fault(HypervisorError("held"), call="volumes.create", times=10**6))
    world.apply(disk_yaml("root")).apply(instance_yaml("first", "root"))
    world.run(lambda: world.disk("root").status.used_by == "first").pass_time(5)
    world.delete("root", VMDisk).run(lambda: not world.exists("root", VMDisk), timeout_s=600)
    world.run(lambda: why_not_scheduled(world, "first") == "DiskMissing", timeout_s=600)


def test_a_virtual_machine_and_an_instance_of_one_name_do_not_meet(world: World) -> None:
    world.host("a").apply(disk_yaml("root")).apply(instance_yaml("first", "root")).apply(vm_yaml("first")).settle()
    assert is_ready(world, "first") and world.is_ready("first")
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.disk("root").status.used_by == "first"
    assert is_ready(world, "first")


def test_a_disk_on_a_host_that_waits_asks_for_no_pass_by_its_own_writes(world: World) -> None:
    world.host("a").apply(disk_yaml("root")).apply(instance_yaml("first", "root")).settle()
    world.fleet.host("a").set_link("down")
    world.apply(disk_yaml("root", storage="20Gi"))
    turns = 0

    def count() -> bool:
        nonlocal turns
        turns += 1
        return False

    world.controller.run_until(count, timeout_s=600)
    assert turns < 1000


def test_an_uploaded_disk_is_ready_when_its_content_is_there(world: World) -> None:
    world.host("a").apply(disk_yaml("iso", source="{upload: {}}", host="a")).pass_time(600)
    assert said_of_disk(world, "iso").reason == "WaitingForUpload"
    upload(world, "hikube-disk-default.iso.raw", raw_disk(MIB))
    world.run(lambda: disk_is_ready(world, "iso"), timeout_s=120)
    assert world.disk("iso").status.volume == "hikube-disk-default.iso.raw"
    assert world.disk("iso").status.capacity_bytes == 10 * 2**30


def test_an_upload_that_broke_off_is_still_waited_for(world: World) -> None:
    world.host("a").apply(disk_yaml("iso", source="{upload: {}}", host="a")).pass_time(60)
    with pytest.raises(HikubeError):
        upload(world, "hikube-disk-default.iso.raw", raw_disk(MIB), size_bytes=2 * MIB)
    world.pass_time(600)
    assert said_of_disk(world, "iso").reason == "WaitingForUpload"


def test_what_is_uploaded_and_larger_than_its_disk_fails_with_both_sizes(world: World) -> None:
    world.host("a").apply(disk_yaml("big", source="{upload: {}}", host="a")).pass_time(60)
    upload(world, "hikube-disk-default.big.qcow2", qcow2(20 * 2**30))
    world.run(lambda: world.disk("big").status.phase == "Failed")
    assert said_of_disk(world, "big").message == "what was uploaded needs 20Gi, the disk has 10Gi"


def test_an_image_larger_than_its_disk_fails_with_both_sizes(world: World) -> None:
    world.host("a").apply(disk_yaml("small", source="{http: {url: https://images.example/x}}", storage="1Gi", host="a"))
    world.run(lambda: world.disk("small").status.phase == "Failed")
    assert said_of_disk(world, "small").message.endswith("needs 2Gi, the disk has 1Gi")


def test_a_url_may_hold_any_format_that_can_be_used_and_is_fetched_once(world: World) -> None:
    url, size = "https://images.example/installer.iso", 64 * 1024
    assert isinstance(world.ports.images, SimulatedImages)
    world.ports.images.stage(url, SimulatedImage(format="raw", size_bytes=size))
    world.host("a")
    for name in ("one", "two"):
        world.apply(disk_yaml(name, source=f"{{http: {{url: '{url}'}}}}", host="a", extra=", optical: true"))
    world.run(lambda: disk_is_ready(world, "one") and disk_is_ready(world, "two"))
    assert world.disk("one").status.capacity_bytes == size
    assert world.fleet.calls.count("images.fetch") == 1
    origin = world.disk("two").status.origin
    assert origin is not None
    assert (origin.source, origin.name, len(origin.sha256)) == ("http", url, 64)


def test_a_url_whose_content_is_not_the_one_expected_is_refused(world: World) -> None:
    url = "https://images.example/x"
    assert isinstance(world.ports.images, SimulatedImages)
    world.ports.images.stage(url, SimulatedImage(sha256="cd" * 32))
    world.host("a").apply(disk_yaml("data", source=f"{{http: {{url: '{url}', sha256: {'ab' * 32}}}}}", host="a"))
    world.run(lambda: world.disk("data").status.phase == "Failed")
    assert "SHA-256" in said_of_disk(world, "data").message


def test_a_disk_whose_host_is_named_waits_for_no_vm(world: World) -> None:
    world.host("a").host("b").apply(disk_yaml("data", source="{}", host="b")).run(lambda: disk_is_ready(world, "data"))
    assert world.disk("data").status.host == "b"
    world.apply(instance_yaml("first", "data")).pass_time(60)
    world.run(lambda: world.vm("first", VMInstance).status.host == "b")


def test_a_disk_whose_host_is_not_known_waits_for_it(world: World) -> None:
    world.host("a").apply(disk_yaml("data", source="{}", host="z")).pass_time(600)
    assert said_of_disk(world, "data").reason == "HostMissing"


def test_an_optical_disk_is_a_cd_rom_of_the_guest(world: World) -> None:
    world.host("a").apply(disk_yaml("root")).apply(disk_yaml("cd", extra=", optical: true"))
    world.apply(instance_yaml("first", "root", "cd")).run(lambda: is_ready(world, "first"))
    with world.fleet.host("a").peek() as state:
        config = state.domains[world.vm("first", VMInstance).status.domain].config
    assert {disk.target: disk.is_cdrom for disk in config.disks if disk.target != "sda"} == {"vda": False, "sdb": True}


def test_disks_attached_to_a_running_vm_wait_for_its_restart(world: World) -> None:
    world.host("a").apply(disk_yaml("root")).apply(disk_yaml("data", source="{}"))
    world.apply(instance_yaml("first", "root")).settle()
    world.apply(instance_yaml("first", "root", "data")).pass_time(120)
    required = find_condition(world.vm("first", VMInstance).status.conditions, "RestartRequired")
    assert required is not None
    assert (required.status, "data" in required.message) == ("True", True)
    assert world.disk("data").status.phase == "Pending"


def upload(world: World, name: str, content: bytes, *, size_bytes: int = 0) -> None:
    """What `hikube disk upload` does on the host."""
    volumes = world.ports.connector.connect("simulated://a").volumes
    volumes.upload("default", name, io.BytesIO(content), size_bytes=size_bytes or len(content))
