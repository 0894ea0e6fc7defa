"""Hosts that hang, devices that do not let go, GPUs that fall off the bus: who is to blame, and what becomes of the VM."""

from __future__ import annotations

from dataclasses import replace

from provisioner.drivers.hypervisor import DomainState
from provisioner.drivers.simulated.faults import Fault
from provisioner.model.errors import DeviceBusy, HostTimeout, StoreUnavailable
from provisioner.model.gpu_host import GpuHealth, GPUHost
from provisioner.model.metadata import find_condition
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, DiskReference
from tests.lifecycle.test_vm_disks import disk_yaml
from tests.lifecycle.world import World, vm_yaml

FIRST, SECOND = "0000:41:00.0", "0000:42:00.0"


def _host(world: World) -> GPUHost:
    return world.store.get(GPUHost, "a")


def _why_pending(world: World, name: str) -> str:
    found = world.condition(name, "Scheduled")
    return found.reason if found is not None else ""


def test_a_gpu_that_somebody_holds_is_waited_for_in_bounded_time_and_taken_when_it_is_let_go(world: World) -> None:
    world.host("a").settle()
    world.fleet.host("a").hold(FIRST, by="python (pid 7)")
    world.apply(vm_yaml("first")).run(lambda: _why_pending(world, "first") == "GPUsUnhealthy", timeout_s=1200)
    told = world.condition("first", "Scheduled")
    assert told is not None and "HK-DOC-207" in told.message
    world.fleet.host("a").hold(FIRST, by="")
    world.run(lambda: world.is_ready("first"), timeout_s=1200)
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.leaks() == []


def test_a_host_that_hangs_during_a_teardown_is_no_fault_of_its_gpus(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    world.fleet.faults.stage(Fault(DeviceBusy("held"), call="devices.restore"))
    world.delete("first").run(lambda: world.fleet.faults.pending == 0)
    world.fleet.host("a").set_link("hangs")
    world.pass_time(1800)
    world.fleet.host("a").set_link("up")
    world.run(lambda: not world.exists("first"))
    assert _host(world).status.quarantined == ()
    assert world.leaks() == []


def test_a_gpu_that_does_not_go_home_is_quarantined_and_named(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    world.fleet.faults.stage(Fault(HostTimeout("unbind hangs"), call="devices.restore", times=10**6))
    world.delete("first").run(lambda: not world.exists("first")).go_home()
    (entry,) = _host(world).status.quarantined
    assert entry.address == FIRST
    world.apply(vm_yaml("second")).run(lambda: _why_pending(world, "second") == "GPUsQuarantined").pass_time(900)
    assert _why_pending(world, "second") == "GPUsQuarantined"


def test_a_gpu_that_fell_off_the_bus_is_passed_over_at_once(world: World) -> None:
    world.host("a", gpus=2).settle()
    world.fleet.host("a").lose(FIRST)
    world.apply(vm_yaml("first")).run(lambda: world.is_ready("first"), timeout_s=240)
    assert [gpu.address for gpu in world.vm("first").status.gpus] == [SECOND]
    world.fleet.host("a").bring_back(FIRST)
    world.pass_time(600)
    assert {gpu.health for gpu in _host(world).status.gpus} == {GpuHealth.OK}


def test_kvm_that_was_broken_and_is_mended_is_noticed(world: World) -> None:
    world.host("a", kvm="broken").apply(vm_yaml("first")).run(lambda: _why_pending(world, "first") == "KvmBroken")
    with world.fleet.host("a").peek() as state:
        state.kvm = "works"
    world.run(lambda: world.is_ready("first"), timeout_s=900)


def test_a_kvm_probe_without_an_answer_is_no_verdict(world: World) -> None:
    world.fleet.faults.stage(Fault(HostTimeout("no answer"), call="inventory.prove_kvm", times=2))
    world.host("a").run(lambda: world.fleet.faults.pending == 0)
    assert _host(world).status.kvm.works is not False
    world.run(lambda: _host(world).status.kvm.works is True)


def test_a_spec_with_a_disk_that_does_not_exist_leaves_the_vm_watched(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    world.edit("first", disks=(DiskReference(name="nowhere"),)).pass_time(60)
    told = world.condition("first", "RestartRequired")
    assert told is not None and told.status == "True" and "nowhere" in told.message
    booted = world.vm("first").status.boot_id
    world.annotate("first", REQUEST_ANNOTATION, "restart:1").pass_time(120)
    world.apply(disk_yaml("nowhere")).run(lambda: world.is_ready("first"))
    assert world.vm("first").status.boot_id != booted


def test_a_vm_whose_host_was_taken_out_of_the_store_can_be_deleted(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    world.delete("a", GPUHost)
    world.store.update(_host(world).with_metadata(finalizers=()))
    world.delete("first").run(lambda: not world.exists("first"))
    assert any(event.reason == "LeftBehind" for event in world.store.events())


def test_a_host_does_not_go_while_a_disk_is_on_it(world: World) -> None:
    world.host("a").apply(disk_yaml("root")).settle()
    world.store.update_status(world.disk("root").with_status(host="a"))
    world.delete("a", GPUHost).pass_time(600)
    told = find_condition(_host(world).status.conditions, "Ready")
    assert told is not None and "VMDisk default/root" in told.message


def test_a_store_that_fails_in_the_middle_of_the_first_listing_costs_a_moment(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    world.fleet.host("a").kill_qemu(world.vm("first").status.domain)
    world.start_controller()
    world.store.fail_next("list", StoreUnavailable("locked"))
    world.run(lambda: not world.is_ready("first"), timeout_s=60)


def test_a_guest_that_resets_where_that_means_destroy_is_off_and_comes_back(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    domain, booted = world.vm("first").status.domain, world.vm("first").status.boot_id
    with world.fleet.host("a").peek() as state:
        live = state.domains[domain].live
        assert live is not None
        live.on_reboot = "destroy"
    world.fleet.host("a").reset_guest(domain)
    found = world.ports.connector.connect("simulated://a").domains.look(domain)
    assert found is not None and found.state is DomainState.OFF
    world.run(lambda: world.is_ready("first") and world.vm("first").status.boot_id not in ("", booted))


def test_a_vm_whose_instance_type_was_taken_away_comes_down(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    types = {name: each for name, each in world.tables.instance_types.items() if name != "u1.large"}
    world.ports = replace(world.ports, tables=replace(world.tables, instance_types=types))
    world.start_controller()
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.leaks() == []
