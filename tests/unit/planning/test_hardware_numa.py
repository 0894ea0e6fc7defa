"""Nodes of the host and of the guest: who gets which CPUs, and what the guest sees."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from provisioner.model.gpu_host import FreeHugepages, GPUHost, NumaNode
from provisioner.model.sizing import GuestSize
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.planning.hardware import HardwarePlan, plan_domain
from tests.unit.planning.factory import TABLES, assigned, gpu, host, vm

GIB_MIB = 1024


def planned(machine: VirtualMachine, where: GPUHost, *, size: GuestSize) -> HardwarePlan:
    return plan_domain(machine, size=size, host=where, tables=TABLES)


def value(made: HardwarePlan, part: str) -> tuple[str, str]:
    return next((choice.value, choice.why) for choice in made.choices if choice.part == part)


FOUR = (gpu(0x41, node=0), gpu(0x42, node=0), gpu(0x81, node=1), gpu(0x82, node=1))
"""Two on each node of a host with 2 x 32 CPUs."""


def test_a_vm_lives_beside_its_gpu_on_cpus_of_its_own() -> None:
    made = planned(vm(gpus=assigned("a", FOUR[3])), host("a", *FOUR), size=GuestSize(1, 8, 4096))
    (cell,) = made.plan.cells
    assert (cell.id, cell.host_node, cell.vcpu_range, cell.memory_mib) == (0, 1, "0-7", 4096)
    # The second GPU of node 1 has the second half of its CPUs, 32 to 63.
    assert [(pin.vcpu, pin.cpuset) for pin in made.plan.pins] == [(number, str(48 + number)) for number in range(8)]
    assert made.plan.emulator_cpuset == "56-63"
    assert value(made, "NUMA") == ("host node 1", "all GPUs are on it; the guest sees it as its node 0")
    assert value(made, "vCPUs")[0] == "pinned to CPUs 48-55"
    assert value(made, "memory")[0] == "preferably from node 1"


def test_its_gpu_sits_on_a_root_of_that_node() -> None:
    made = planned(vm(gpus=assigned("a", FOUR[3])), host("a", *FOUR), size=GuestSize(1, 8, 4096))
    (expander,) = made.plan.expanders
    assert (expander.bus_number, expander.cell, len(expander.ports)) == (64, 0, 1)
    assert [(each.port, each.guest_address, each.numa_cell) for each in made.plan.functions] == [
        (expander.ports[0], "0000:41:00.0", 0),
        (expander.ports[0], "0000:41:00.1", 0),
    ]
    assert made.guest_numa_nodes == {"0000:82:00.0": 0}


def test_two_nodes_are_mirrored_and_share_evenly() -> None:
    owned = (FOUR[0], FOUR[2])
    made = planned(vm(gpus=assigned("a", *owned)), host("a", *FOUR), size=GuestSize(1, 16, 33 * GIB_MIB))
    cells = [(cell.id, cell.host_node, cell.vcpu_range, cell.memory_mib) for cell in made.plan.cells]
    assert cells == [(0, 0, "0-7", 17 * GIB_MIB), (1, 1, "8-15", 16 * GIB_MIB)]
    assert [pin.cpuset for pin in made.plan.pins] == [str(cpu) for cpu in (*range(8), *range(32, 40))]
    assert made.guest_numa_nodes == {"0000:41:00.0": 0, "0000:81:00.0": 1}
    assert made.guest_addresses == {"0000:41:00.0": "0000:41:00.0", "0000:81:00.0": "0000:61:00.0"}
    # No socket of the guest lies on two nodes.
    assert (made.plan.sockets, made.plan.cores_per_socket) == (2, 8)
    assert [each.bus_number for each in made.plan.expanders] == [64, 96]


def test_the_guest_counts_gpus_in_the_order_of_the_assignments() -> None:
    owned = (FOUR[2], FOUR[0])
    made = planned(vm(gpus=assigned("a", *owned)), host("a", *FOUR), size=GuestSize(1, 16, 4096))
    assert list(made.guest_addresses.values()) == sorted(made.guest_addresses.values())
    assert made.guest_numa_nodes == {"0000:81:00.0": 1, "0000:41:00.0": 0}


def test_two_vms_of_one_node_never_share_a_cpu() -> None:
    one = planned(vm(gpus=assigned("a", FOUR[0])), host("a", *FOUR), size=GuestSize(1, 16, 4096)).plan
    two = planned(vm(gpus=assigned("a", FOUR[1])), host("a", *FOUR), size=GuestSize(1, 16, 4096)).plan
    assert not {pin.cpuset for pin in one.pins} & {pin.cpuset for pin in two.pins}


def test_threads_of_a_core_stay_in_one_vm() -> None:
    nodes = tuple(
        NumaNode(id=node, memory_mib=65536, cpus=(*first, *(cpu + 8 for cpu in first)), cores=tuple((c, c + 8) for c in first))
        for node, first in ((0, range(4)), (1, range(4, 8)))
    )
    made = planned(vm(gpus=assigned("a", FOUR[1])), host("a", *FOUR, numa_nodes=nodes), size=GuestSize(1, 4, 4096))
    assert [pin.cpuset for pin in made.plan.pins] == ["2", "3", "10", "11"]
    # Cores first: two vCPUs have one each, and QEMU the other threads.
    made = planned(vm(gpus=assigned("a", FOUR[1])), host("a", *FOUR, numa_nodes=nodes), size=GuestSize(1, 2, 4096))
    assert ([pin.cpuset for pin in made.plan.pins], made.plan.emulator_cpuset) == (["2", "3"], "10-11")


def test_more_vcpus_than_its_gpus_share_move_within_the_node() -> None:
    made = planned(vm(gpus=assigned("a", FOUR[2])), host("a", *FOUR), size=GuestSize(1, 20, 4096))
    assert {pin.cpuset for pin in made.plan.pins} == {"32-63"}
    assert made.plan.emulator_cpuset == "32-63"
    assert "they move within the node" in value(made, "vCPUs")[1]


def test_a_node_with_too_few_cpus_still_gives_its_memory() -> None:
    made = planned(vm(gpus=assigned("a", FOUR[2])), host("a", *FOUR), size=GuestSize(1, 48, 4096))
    assert made.plan.pins == ()
    assert [cell.host_node for cell in made.plan.cells] == [1]
    assert value(made, "vCPUs") == ("not pinned", "node 1 has 32 CPUs, too few for 48 vCPUs")


def test_one_vcpu_cannot_be_on_two_nodes() -> None:
    made = planned(vm(gpus=assigned("a", FOUR[0], FOUR[2])), host("a", *FOUR), size=GuestSize(1, 1, 4096))
    assert not (made.plan.cells or made.plan.expanders)
    assert value(made, "NUMA") == ("anywhere", "1 vCPU cannot be spread over the 2 nodes of its GPUs")


def test_a_host_with_one_node_is_left_as_it_is() -> None:
    gpus = (gpu(0x41, node=0),)
    plan = planned(vm(gpus=assigned("a", *gpus)), host("a", *gpus, nodes=1), size=GuestSize(1, 2, 4096)).plan
    assert not (plan.cells or plan.pins or plan.expanders)


def test_a_gpu_on_no_known_node_leaves_the_guest_anywhere() -> None:
    gpus = (gpu(0x41, node=None),)
    made = planned(vm(gpus=assigned("a", *gpus)), host("a", *gpus), size=GuestSize(1, 2, 4096))
    assert made.plan.cells == ()
    assert value(made, "NUMA")[1] == "the host does not say which node each GPU is on"


def pages(*, one_gib: int = 0, two_mib: int = 0, node: int = 1) -> tuple[FreeHugepages, ...]:
    return (
        FreeHugepages(node=node, size_kib=2**20, total=max(one_gib, 64), free=one_gib),
        FreeHugepages(node=node, size_kib=2048, total=max(two_mib, 1024), free=two_mib),
    )


@pytest.mark.parametrize(
    ("memory_mib", "pools", "page_kib", "mode"),
    [
        (16 * GIB_MIB, pages(one_gib=16, two_mib=20_000), 2**20, "strict"),
        (16 * GIB_MIB, pages(one_gib=15, two_mib=8192), 2048, "strict"),
        (16 * GIB_MIB + 512, pages(one_gib=32, two_mib=9000), 2048, "strict"),
        (16 * GIB_MIB, pages(one_gib=15, two_mib=8191), None, "preferred"),
        (16 * GIB_MIB, pages(one_gib=64, node=0), None, "preferred"),
        (16 * GIB_MIB, (), None, "preferred"),
    ],
)
def test_huge_pages_are_used_where_the_node_has_enough(
    memory_mib: int, pools: tuple[FreeHugepages, ...], page_kib: int | None, mode: str
) -> None:
    where = host("a", *FOUR, hugepages=pools, examined="2026-11-21T12:00:00Z")
    made = planned(vm(gpus=assigned("a", FOUR[2])), where, size=GuestSize(1, 8, memory_mib))
    assert (made.plan.hugepage_kib, made.plan.memory_mode) == (page_kib, mode)


def test_too_few_huge_pages_are_counted() -> None:
    where = host("a", *FOUR, hugepages=pages(one_gib=3))
    made = planned(vm(gpus=assigned("a", FOUR[2])), where, size=GuestSize(1, 8, 4096))
    assert value(made, "memory pages") == (
        "ordinary",
        "too few huge pages are free for 4 GiB: 3 of 1 GiB on node 1 and 0 of 2 MiB on node 1",
    )


def test_a_host_with_one_node_gives_huge_pages_too() -> None:
    gpus = (gpu(0x41),)
    where = host("a", *gpus, nodes=1, hugepages=pages(one_gib=4, node=0))
    plan = planned(vm(gpus=assigned("a", *gpus)), where, size=GuestSize(1, 2, 4096)).plan
    assert (plan.hugepage_kib, plan.cells) == (2**20, ())


def test_a_vm_without_gpus_takes_none() -> None:
    plan = planned(vm(), host("a", hugepages=pages(one_gib=64)), size=GuestSize(1, 2, 4096)).plan
    assert (plan.hugepage_kib, plan.is_pinned, plan.cells) == (None, False, ())


@pytest.mark.parametrize("seed", range(200))
def test_any_host_and_any_vm_add_up(seed: int) -> None:
    chance = random.Random(seed)
    nodes = chance.choice((2, 3, 4, 8))
    gpus = tuple(gpu(0x10 + number, node=chance.randrange(nodes), companions=chance.randrange(3)) for number in range(16))
    owned = chance.sample(gpus, chance.randint(1, 16))
    size = GuestSize(chance.choice((1, 1, 2)), chance.randint(1, 64), chance.choice((8192, 65536, 30_001, 100_000)))
    plan = planned(vm(gpus=assigned("a", *owned)), host("a", *gpus, nodes=nodes, cpus=128), size=size).plan
    assert plan.vcpus == size.vcpus
    where = {known.address: known.numa_node for known in gpus}
    if plan.cells:
        assert sum(cell.memory_mib for cell in plan.cells) == size.memory_mib
        assert sum(cell.vcpus for cell in plan.cells) == size.vcpus
        assert min(cell.memory_mib for cell in plan.cells) > 0
        node_of = {cell.id: cell.host_node for cell in plan.cells}
        for function in plan.functions:
            assert function.numa_cell is not None
            if function.host_address in where:
                assert node_of[function.numa_cell] == where[function.host_address]
    indexes = [*range(1, plan.root_ports + 1)] + [index for each in plan.expanders for index in (each.index, *each.ports)]
    assert sorted(indexes) == list(range(1, len(indexes) + 1))
    places = [function.guest_address for function in plan.functions]
    assert len(set(places)) == len(places)
    roots = plan.expanders
    for one, two in pairwise(roots):
        assert one.bus_number + len(one.ports) < two.bus_number
    assert all(each.bus_number > plan.root_ports and each.bus_number + len(each.ports) <= 255 for each in roots)
