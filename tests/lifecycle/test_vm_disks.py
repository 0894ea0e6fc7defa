"""VMDisks and the VMInstances that use them: in any order, one at a time, growing, moving on to the next VM."""

from __future__ import annotations

from provisioner.drivers.simulated.faults import Fault
from provisioner.model.errors import HypervisorError
from provisioner.model.metadata import find_condition
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, DiskReference, Phase, VMInstance
from provisioner.model.vm_disk import VMDisk
from tests.lifecycle.world import World, vm_yaml


def disk_yaml(name: str, *, storage: str = "10Gi", source: str = "{image: {name: ubuntu-2404}}") -> str:
    return f"""
apiVersion: apps.cozystack.io/v1alpha1
kind: VMDisk
metadata: {{name: {name}}}
spec: {{storage: {storage}, source: {source}}}
"""


def instance_yaml(name: str, *disks: str) -> str:
    return f"""
apiVersion: apps.cozystack.io/v1alpha1
kind: VMInstance
metadata: {{name: {name}}}
spec: {{instanceType: u1.large, disks: [{", ".join(disks)}]}}
"""


def _is_ready(world: World, name: str) -> bool:
    found = find_condition(world.vm(name, VMInstance).status.conditions, "Ready")
    return found is not None and found.status == "True"


def _why(world: World, name: str) -> str:
    found = find_condition(world.vm(name, VMInstance).status.conditions, "Scheduled")
    return found.reason if found is not None else ""


def test_an_instance_waits_for_its_disk_to_be_created(world: World) -> None:
    world.host("a").apply(instance_yaml("first", "root")).pass_time(1800)
    assert world.vm("first", VMInstance).status.phase is Phase.PENDING
    assert _why(world, "first") == "DiskMissing"
    world.apply(disk_yaml("root")).run(lambda: _is_ready(world, "first"))


def test_a_second_instance_waits_for_the_disk_and_gets_it(world: World) -> None:
    world.host("a").apply(disk_yaml("root")).apply(instance_yaml("first", "root")).settle()
    world.apply(instance_yaml("second", "root")).pass_time(3 * 3600)
    assert _why(world, "second") == "DiskInUse"
    world.delete("first", VMInstance).run(lambda: _is_ready(world, "second"))
    assert world.disk("root").status.used_by == "second"


def test_an_instance_made_anew_over_its_old_disk_is_reached(world: World) -> None:
    """Its host key is new, so cloud-init must take it for a new machine and put that key in place."""
    world.host("a").apply(disk_yaml("root")).apply(instance_yaml("first", "root")).settle()
    world.delete("first", VMInstance).run(lambda: not world.exists("first", VMInstance))
    world.apply(instance_yaml("first", "root")).run(lambda: _is_ready(world, "first"))
    assert world.vm("first", VMInstance).status.consecutive_failures == 0


def test_an_instance_that_gets_its_first_boot_disk_back_is_reached(world: World) -> None:
    world.host("a").apply(disk_yaml("one")).apply(disk_yaml("two")).apply(instance_yaml("first", "one")).settle()
    for number, name in enumerate(("two", "one", "two")):
        vm = world.vm("first", VMInstance)
        spec = vm.spec.model_copy(update={"disks": (DiskReference(name=name),)})
        request = {REQUEST_ANNOTATION: f"restart:{number}"}
        world.store.update(vm.model_copy(update={"spec": spec}).with_metadata(annotations=request))
        world.run(lambda: not _is_ready(world, "first")).run(lambda: _is_ready(world, "first"))
    assert world.vm("first", VMInstance).status.consecutive_failures == 0


def test_a_disk_grows_when_its_vm_restarts_however_long_that_takes(world: World) -> None:
    world.host("a").apply(disk_yaml("root")).apply(instance_yaml("first", "root")).settle()
    world.apply(disk_yaml("root", storage="20Gi")).pass_time(2 * 3600)
    assert not [event for event in world.store.events() if event.reason == "DiskFailed"]
    assert _is_ready(world, "first")
    vm = world.vm("first", VMInstance)
    world.store.update(vm.with_metadata(annotations={REQUEST_ANNOTATION: "restart:1"}))
    world.run(lambda: world.disk("root").status.capacity_bytes == 20 * 2**30 and _is_ready(world, "first"))


def test_a_disk_that_waits_for_an_upload_costs_no_gpu_and_no_attempt(world: World) -> None:
    world.host("a").apply(disk_yaml("root", source="{upload: {}}")).apply(instance_yaml("first", "root")).pass_time(6 * 3600)
    assert _why(world, "first") == "WaitingForUpload"
    assert world.vm("first", VMInstance).status.consecutive_failures == 0


def test_a_disk_that_the_spec_lets_go_is_free_after_the_restart(world: World) -> None:
    world.host("a").apply(disk_yaml("root")).apply(disk_yaml("data")).apply(instance_yaml("first", "root", "data")).settle()
    vm = world.vm("first", VMInstance)
    spec = vm.spec.model_copy(update={"disks": (DiskReference(name="root"),)})
    world.store.update(vm.model_copy(update={"spec": spec}).with_metadata(annotations={REQUEST_ANNOTATION: "restart:1"}))
    world.run(lambda: world.disk("data").status.used_by == "" and _is_ready(world, "first"))
    world.delete("data", VMDisk).run(lambda: not world.exists("data", VMDisk))


def test_an_instance_restarts_with_a_disk_whose_deletion_waits_for_it(world: World) -> None:
    world.host("a").apply(disk_yaml("root")).apply(instance_yaml("first", "root")).settle()
    world.delete("root", VMDisk).pass_time(60)
    world.fleet.host("a").kill_qemu(world.vm("first", VMInstance).status.domain)
    world.run(lambda: not _is_ready(world, "first")).run(lambda: _is_ready(world, "first"))
    world.delete("first", VMInstance).run(lambda: not world.exists("root", VMDisk))
    assert world.leaks() == []


def test_a_disk_that_is_deleted_before_it_has_a_volume_goes(world: World) -> None:
    world.host("a").settle()
    world.fleet.faults.stage(Fault(HypervisorError("held"), call="volumes.create", times=10**6))
    world.apply(disk_yaml("root")).apply(instance_yaml("first", "root"))
    world.run(lambda: world.disk("root").status.used_by == "first").pass_time(5)
    world.delete("root", VMDisk).run(lambda: not world.exists("root", VMDisk), timeout_s=600)
    world.run(lambda: _why(world, "first") == "DiskMissing", timeout_s=600)


def test_a_virtual_machine_and_an_instance_of_one_name_do_not_meet(world: World) -> None:
    world.host("a").apply(disk_yaml("root")).apply(instance_yaml("first", "root")).apply(vm_yaml("first")).settle()
    assert _is_ready(world, "first") and world.is_ready("first")
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.disk("root").status.used_by == "first"
    assert _is_ready(world, "first")


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
