"""Real hardware plans: a GPU host in a box with two NUMA nodes, and a guest that boots by BIOS.

Both sides are asked: the host's kernel for where the guest's memory and threads are, the guest for what it sees.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner import lab
from provisioner.model.metadata import find_condition
from tests.e2e.conftest import kept
from tests.e2e.keeper import Keeper
from tests.e2e.rig import Rig

TWO_NODES = lab.LabTopology(
    "nodes",
    (
        lab.LabHost(
            "nodes",
            vcpus=4,
            numa_nodes=2,
            gpus=tuple(lab.StandIn(lab.StandInModel.BOCHS, numa_node=node) for node in (0, 0, 1, 1)),
        ),
    ),
)


@pytest.fixture(scope="module")
def nodes(images: lab.LabImages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    """Keeps a box with two nodes for the tests of this module."""
    yield from kept(TWO_NODES, images, folder=tmp_path_factory.mktemp("nodes"))


@pytest.fixture
def two_nodes(nodes: Keeper, images: lab.LabImages, tmp_path: Path) -> Rig:
    """Two bochs pairs on each of two nodes."""
    return Rig(nodes.box(), images, tmp_path)


def proven(rig: Rig) -> str:
    found = find_condition(rig.vm().status.conditions, "GPUsProven")
    assert found is not None
    assert found.status == "True", found
    return found.message


def memory_of_nodes(rig: Rig) -> dict[int, int]:
    """Pages that QEMU has on each node of the host, as the host's kernel counts them."""
    text = rig.on_box(f"cat /proc/$(cat /run/libvirt/qemu/{rig.vm().status.domain}.pid)/numa_maps")
    found: dict[int, int] = {}
    for node, pages in re.findall(r" N(\d+)=(\d+)", text):
        found[int(node)] = found.get(int(node), 0) + int(pages)
    return found


@pytest.mark.timeout(1500)
def test_gpus_vcpus_and_memory_are_on_one_node_and_the_guest_sees_it(two_nodes: Rig) -> None:
    rig = two_nodes
    rig.apply(gpus=2, cpus=2, firmware="bios")
    assert rig.control().returncode == 0
    message = proven(rig)
    assert "2 GPUs on the PCI bus at 0000:41:00.0, 0000:42:00.0" in message
    assert "on the guest's NUMA node 0 as planned" in message
    addresses = [gpu.address for gpu in rig.vm().status.gpus]
    sysfs = [rig.on_box(f"cat /sys/bus/pci/devices/{address}/numa_node") for address in addresses]
    assert len(set(sysfs)) == 1
    node = int(sysfs[0])
    name = rig.vm().status.domain
    root = ElementTree.fromstring(rig.on_box(f"virsh dumpxml {name}"))
    functions = [(each.get("bus"), each.get("function")) for each in root.iterfind("devices/hostdev/address")]
    assert [function for _, function in functions] == ["0x0", "0x1", "0x0", "0x1"], "companions at function 1 of their slots"
    assert len({bus for bus, _ in functions}) == 2
    cpus = set(rig.on_box(f"cat /sys/devices/system/node/node{node}/cpulist").split("-"))
    pinned = rig.on_box(f"virsh vcpupin {name} | awk 'NR > 2 {{print $2}}'").split()
    assert set(pinned) == cpus, "one CPU of the node for each vCPU"
    pages = memory_of_nodes(rig)
    assert pages[node] > 200_000, pages
    assert pages[node] > 20 * sum(count for other, count in pages.items() if other != node), pages
    rig.delete()
    assert rig.control().returncode == 0
    assert rig.leaks() == []
