"""From what a host is found to have to the hardware of its guests, as stories in virtual time."""

from __future__ import annotations

from dataclasses import replace

from provisioner.drivers.simulated.presets import L40S
from provisioner.lifecycle.dry_run import hardware_preview
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.examination import HugepagePool
from provisioner.model.gpu_host import GPUHost, GPUHostSpec, ResetPolicy
from provisioner.model.metadata import Metadata
from provisioner.planning.budgets import budgets
from provisioner.planning.plans import DomainPlan
from tests.lifecycle.world import World, vm_yaml


def with_nodes(world: World, *nodes: int) -> World:
    """A host with two NUMA nodes and an L40S on each of these."""
    gpus = tuple(replace(L40S, numa_node=node) for node in nodes)
    world.fleet.add_host("a", gpus=gpus, numa_nodes=2, cpus=32, memory_mib=256 * 1024)
    spec = GPUHostSpec(uri="simulated://a")
    world.store.create(GPUHost(metadata=Metadata(name="a"), spec=spec))
    return world


def plan_of(world: World, name: str) -> DomainPlan:
    plan = hardware_preview(world.vm(name), world.ports).plan
    assert plan is not None
    return plan.plan


def proven(world: World, name: str) -> str:
    found = world.condition(name, "GPUsProven")
    assert found is not None
    return found.message


def why_pending(world: World) -> str:
    found = world.condition("first", "Scheduled")
    return found.reason if found is not None else ""


def told(world: World) -> str:
    found = world.condition("first", "Scheduled")
    return found.message if found is not None else ""


def test_gpus_of_two_nodes_are_each_seen_on_their_own(world: World) -> None:
    with_nodes(world, 0, 1).apply(vm_yaml("first", gpus=2)).settle()
    assert world.is_ready("first")
    assert [gpu.guest_address for gpu in world.vm("first").status.gpus] == ["0000:41:00.0", "0000:61:00.0"]
    assert "on the guest's NUMA node 0, 1 as planned" in proven(world, "first")


def test_two_vms_of_one_node_have_cpus_of_their_own(world: World) -> None:
    with_nodes(world, 1, 1).apply(vm_yaml("first")).apply(vm_yaml("second")).settle()
    one, two = ({pin.cpuset for pin in plan_of(world, name).pins} for name in ("first", "second"))
    assert one and two and not one & two


def test_huge_pages_that_an_examination_found_are_used(world: World) -> None:
    with_nodes(world, 0, 1)
    with world.fleet.host("a").peek() as state:
        state.inside.hugepages = (HugepagePool(size_kib=2**20, node=0, total=100, free=100),)
    world.apply(vm_yaml("first")).settle()
    assert world.is_ready("first")
    plan = plan_of(world, "first")
    assert (plan.hugepage_kib, plan.memory_mode) == (2**20, "strict")


def test_the_second_vm_gets_ordinary_pages_when_the_first_has_the_huge_ones(world: World) -> None:
    """Counted at the moment when it is defined, however old the last examination is."""
    with_nodes(world, 0, 0)
    with world.fleet.host("a").peek() as state:
        state.inside.hugepages = (HugepagePool(size_kib=2**20, node=0, total=10, free=10),)
    world.apply(vm_yaml("first")).apply(vm_yaml("second")).settle()
    assert world.is_ready("first")
    assert world.is_ready("second")
    with world.fleet.host("a").peek() as state:
        pages = sorted(live.hugepage_kib for _, live in state.running())
    assert pages == [0, 2**20]
    assert {world.vm(name).status.consecutive_failures for name in ("first", "second")} == {0}


def test_deadlines_grow_with_the_catalogues_bars_where_the_host_cannot_be_asked(world: World) -> None:
    world.host("a", can_be_examined=False).configure("a", reset_policy=ResetPolicy.BEST_EFFORT)
    world.apply(vm_yaml("first")).settle()
    view = VirtualMachineView(world.vm("first"), world.ports)
    assert view.host.status.gpus[0].bar_bytes == ()
    assert view.budgets == budgets(view.size, gpu_count=1, bar_bytes=(64 * 2**30,))
    assert plan_of(world, "first").pci_hole64_kib == 192 * 2**20


def test_a_vm_that_wants_uefi_waits_for_a_host_that_has_it(world: World) -> None:
    world.host("a")
    with world.fleet.host("a").peek() as state:
        state.firmwares = ("bios",)
    world.apply(vm_yaml("first", extra="  firmware: efi")).run(lambda: why_pending(world) == "FirmwareMissing")
    assert "1 host: has no efi firmware" in told(world)
    assert world.leaks() == []
    with world.fleet.host("a").peek() as state:
        state.firmwares = ("bios", "efi")
    world.run(lambda: world.is_ready("first"))


def test_bars_that_the_iommu_cannot_map_are_refused_before_anything_is_made(world: World) -> None:
    world.host("a")
    with world.fleet.host("a").peek() as state:
        state.inside.iommu_address_width_bits = 37
    world.apply(vm_yaml("first")).run(lambda: why_pending(world) == "BarsTooLarge")
    assert "bios makes at most 116 GiB with the 37 address bits of the IOMMU" in told(world)
    assert world.leaks() == []
