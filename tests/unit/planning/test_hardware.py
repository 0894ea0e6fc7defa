"""The hardware of a guest, and the reasons given for it."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.model.errors import NotFound, Unsupported
from provisioner.model.gpu_host import GPUHost, HostCapabilities, KvmVerdict
from provisioner.model.sizing import GuestSize
from provisioner.model.virtual_machine import DiskReference, VirtualMachine, VMInstance
from provisioner.planning.hardware import HardwarePlan, plan_domain
from tests.unit.planning.factory import BOCHS, H100, L40S, SIZE, TABLES, assigned, gpu, host, vm, vm_disk

EMULATING: dict[str, Any] = {"kvm": KvmVerdict(works=False, message="the test guest hung"), "spec": {"allow_emulation": True}}


def planned(machine: VirtualMachine, where: GPUHost, *, size: GuestSize = SIZE) -> HardwarePlan:
    return plan_domain(machine, size=size, host=where, tables=TABLES)


def test_companions_sit_beside_their_gpu_and_each_gpu_has_its_own_port() -> None:
    gpus = (gpu(0x41, companions=3), gpu(0x81))
    plan = planned(vm(gpus=assigned("a", *gpus)), host("a", *gpus)).plan
    layout = [
        (function.host_address, function.guest_bus, function.guest_function, function.alias) for function in plan.functions
    ]
    assert layout == [
        ("0000:41:00.0", 1, 0, "ua-gpu0"),
        ("0000:41:00.1", 1, 1, "ua-gpu0-1"),
        ("0000:41:00.2", 1, 2, "ua-gpu0-2"),
        ("0000:41:00.3", 1, 3, "ua-gpu0-3"),
        ("0000:81:00.0", 2, 0, "ua-gpu1"),
        ("0000:81:00.1", 2, 1, "ua-gpu1-1"),
    ]
    assert [function.is_multifunction for function in plan.functions] == [True, False, False, False, True, False]
    # Two GPUs; disk, interface, agent channel, random numbers; one spare.
    assert plan.root_ports == 2 + 4 + 1


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
    assert "KVM, which was seen to run a guest there" in made.reasons


def test_emulation_says_why_and_stops_on_a_reset() -> None:
    made = planned(vm(), host(**EMULATING))
    assert (made.plan.domain_type, made.plan.cpu_mode, made.plan.on_reboot) == ("qemu", "maximum", "destroy")
    assert made.reasons[0] == "emulation, since the test guest hung"
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


def test_memory_and_vcpus_stay_beside_the_gpu() -> None:
    gpus = (gpu(0x81, node=1),)
    made = planned(vm(gpus=assigned("a", *gpus)), host("a", *gpus))
    assert (made.plan.cpuset, made.plan.numa_nodeset) == ("32-63", "1")
    assert "vCPUs and memory on NUMA node 1, beside the GPUs" in made.reasons


def test_a_node_with_too_few_cpus_still_gives_its_memory() -> None:
    gpus = (gpu(0x81, node=1),)
    made = planned(vm(gpus=assigned("a", *gpus)), host("a", *gpus), size=GuestSize(1, 48, 4096))
    assert (made.plan.cpuset, made.plan.numa_nodeset) == ("", "1")


def test_gpus_on_two_nodes_leave_the_guest_anywhere() -> None:
    gpus = (gpu(0x41, node=0), gpu(0x81, node=1))
    plan = planned(vm(gpus=assigned("a", *gpus)), host("a", *gpus)).plan
    assert (plan.cpuset, plan.numa_nodeset) == ("", "")


def test_a_host_with_one_node_pins_nothing() -> None:
    gpus = (gpu(0x41, node=0),)
    plan = planned(vm(gpus=assigned("a", *gpus)), host("a", *gpus, nodes=1)).plan
    assert (plan.cpuset, plan.numa_nodeset) == ("", "")


def test_the_pci_window_follows_the_bars() -> None:
    measured = (gpu(0x41, bar_bytes=(16 * 2**20, 64 * 2**30, 32 * 2**20)),)
    made = planned(vm(gpus=assigned("a", *measured)), host("a", *measured))
    assert made.plan.pci_hole64_kib == 129 * 2**20
    assert made.plan.passes_address_width
    assert "a 64-bit PCI window of 129 GiB, by BAR sizes read on the host" in made.reasons
    unknown = (gpu(0x41, H100), gpu(0x42, H100))
    made = planned(vm(gpus=assigned("a", *unknown)), host("a", *unknown))
    assert made.plan.pci_hole64_kib == 512 * 2**20
    assert "a 64-bit PCI window of 512 GiB, by BAR sizes of the catalogue" in made.reasons


def test_small_bars_need_no_window_of_their_own() -> None:
    gpus = (gpu(0x01, BOCHS),)
    plan = planned(vm(gpus=assigned("a", *gpus)), host("a", *gpus)).plan
    assert plan.pci_hole64_kib is None
    assert not plan.passes_address_width


def test_a_window_that_firmware_may_not_find_is_said_and_bounded() -> None:
    gpus = (gpu(0x41, L40S),)
    narrow = HostCapabilities(cpu_modes=("host-passthrough",), vfio=True, address_width_bits=39)
    made = planned(vm(gpus=assigned("a", *gpus)), host("a", *gpus, capabilities=narrow))
    assert made.plan.pci_hole64_kib == 128 * 2**20
    assert any("firmware may not find it in 39 address bits" in reason for reason in made.reasons)


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
