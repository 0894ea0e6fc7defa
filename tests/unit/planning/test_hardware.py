"""The hardware of a guest, and the reasons given for it."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.model.errors import NotFound, Unsupported
from provisioner.model.gpu_host import GPUHost, HostCapabilities, KvmVerdict
from provisioner.model.sizing import GuestSize
from provisioner.model.virtual_machine import DiskReference, VirtualMachine, VMInstance
from provisioner.planning.hardware import HardwarePlan, plan_domain
from tests.unit.planning.factory import SIZE, TABLES, assigned, gpu, host, vm, vm_disk

EMULATING: dict[str, Any] = {"kvm": KvmVerdict(works=False, message="the test guest hung"), "spec": {"allow_emulation": True}}


def planned(machine: VirtualMachine, where: GPUHost, *, size: GuestSize = SIZE) -> HardwarePlan:
    return plan_domain(machine, size=size, host=where, tables=TABLES)


def test_companions_sit_beside_their_gpu_and_each_gpu_has_its_own_port() -> None:
    gpus = (gpu(0x41, companions=3), gpu(0x81))
    plan = planned(vm(gpus=assigned("a", *gpus)), host("a", *gpus, nodes=1)).plan
    layout = [(each.host_address, each.port, each.guest_address, each.alias) for each in plan.functions]
    assert layout == [
        ("0000:41:00.0", 1, "0000:01:00.0", "ua-gpu0"),
        ("0000:41:00.1", 1, "0000:01:00.1", "ua-gpu0-1"),
        ("0000:41:00.2", 1, "0000:01:00.2", "ua-gpu0-2"),
        ("0000:41:00.3", 1, "0000:01:00.3", "ua-gpu0-3"),
        ("0000:81:00.0", 2, "0000:02:00.0", "ua-gpu1"),
        ("0000:81:00.1", 2, "0000:02:00.1", "ua-gpu1-1"),
    ]
    assert [function.is_multifunction for function in plan.functions] == [True, False, False, False, True, False]
    # Two GPUs; disk, interface, agent channel, random numbers; one spare.
    assert plan.root_ports == 2 + 4 + 1
    assert plan.expanders == ()


def test_a_gpu_alone_in_its_slot_is_not_multifunction() -> None:
    gpus = (gpu(0x41, companions=0),)
    assert not planned(vm(gpus=assigned("a", *gpus)), host("a", *gpus)).plan.functions[0].is_multifunction


def test_more_companions_than_a_slot_has_functions_are_refused() -> None:
    gpus = (gpu(0x41, companions=7),)
    crowded = assigned("a", *gpus)[0].model_copy(update={"companions": tuple(f"0000:41:00.{n % 8}" for n in range(8))})
    with pytest.raises(Unsupported, match="cannot be passed"):
        planned(vm(gpus=(crowded,)), host("a", *gpus))


def test_kvm_passes_the_cpu_through_and_restarts_on_reboot() -> None:
    made = planned(vm(), host())
    assert (made.plan.domain_type, made.plan.cpu_mode, made.plan.on_reboot) == ("kvm", "host-passthrough", "restart")
    assert "type KVM: it was seen to run a guest there" in made.reasons


def test_emulation_says_why_and_stops_on_a_reset() -> None:
    made = planned(vm(), host(**EMULATING))
    assert (made.plan.domain_type, made.plan.cpu_mode, made.plan.on_reboot) == ("qemu", "maximum", "destroy")
    assert made.reasons[0] == "type emulation: the test guest hung"
    assert any("may be silent" in reason for reason in made.reasons)


def test_a_host_in_a_box_has_kvm_and_still_stops_on_a_reset() -> None:
    made = planned(vm(), host(labels={"hikube.cloud/nested-emulation": "true"}))
    assert (made.plan.domain_type, made.plan.on_reboot) == ("kvm", "destroy")


@pytest.mark.parametrize(
    ("works", "offered", "mode"),
    [
        (True, ("host-model", "maximum"), "host-model"),
        (True, ("maximum",), "maximum"),
        (True, (), "host-passthrough"),
        (False, ("host-model",), "host-model"),
        (False, ("host-passthrough", "maximum"), "maximum"),
    ],
)
def test_the_cpu_mode_is_the_best_that_the_host_offers(works: bool, offered: tuple[str, ...], mode: str) -> None:
    where = host(kvm=KvmVerdict(works=works), capabilities=HostCapabilities(cpu_modes=offered))
    assert planned(vm(), where).plan.cpu_mode == mode


def test_a_cpu_model_of_the_spec_wins() -> None:
    made = planned(vm(cpu_model="EPYC-Rome"), host())
    assert (made.plan.cpu_mode, made.plan.cpu_model) == ("custom", "EPYC-Rome")


def test_the_seed_is_always_sda_and_disks_boot_in_order() -> None:
    disks = [vm_disk("one"), vm_disk("two", volume="two.raw"), vm_disk("dvd", optical=True)]
    base = vm(system_disk=None, disks=tuple(DiskReference(name=name) for name in ("two", "one", "dvd")))
    machine = VMInstance(metadata=base.metadata, spec=base.spec)
    plan = plan_domain(machine, size=SIZE, host=host(), tables=TABLES, vm_disks=disks).plan
    assert [(disk.volume, disk.format, disk.target, disk.bus, disk.is_cdrom, disk.boot_order) for disk in plan.disks] == [
        ("two.raw", "raw", "vda", "virtio", False, 1),
        ("hikube-disk-default.one.qcow2", "qcow2", "vdb", "virtio", False, 2),
        ("hikube-disk-default.dvd.qcow2", "qcow2", "sdb", "sata", True, 3),
        ("hikube-default.me.vmi-seed.iso", "raw", "sda", "sata", True, None),
    ]


def test_thirty_disks_have_thirty_names() -> None:
    disks = [vm_disk(f"disk-{number}") for number in range(30)]
    machine = vm(system_disk=None, disks=tuple(DiskReference(name=disk.metadata.name) for disk in disks))
    targets = [disk.target for disk in plan_domain(machine, size=SIZE, host=host(), tables=TABLES, vm_disks=disks).plan.disks]
    assert targets[25:28] == ["vdz", "vdaa", "vdab"]
    assert len(set(targets)) == 31


def test_a_disk_that_does_not_exist_is_named() -> None:
    with pytest.raises(NotFound, match="VMDisk default/gone"):
        planned(vm(disks=(DiskReference(name="gone"),)), host())


def test_the_same_vm_has_the_same_plan_and_another_seed_another_machine() -> None:
    assert planned(vm(), host()) == planned(vm(), host())
    assert planned(vm(), host()).plan.uuid != planned(vm(cloud_init_seed="again"), host()).plan.uuid


def test_a_host_without_a_network_gives_no_interface() -> None:
    assert planned(vm(), host(spec={"network": ""})).plan.interfaces == ()
