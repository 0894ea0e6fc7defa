"""Real kinds of hosts, described by data: the whole XML of VMs with 1, 2, 4 and 8 GPUs, and the rules that each must keep.

The rules are read from the XML alone, as libvirt and QEMU would, and know nothing of how the plan was made.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import libvirt
import pytest
from syrupy.assertion import SnapshotAssertion

from provisioner.model.pci import address_of
from tests.unit.planning.described_hosts import NAMES, Planned, described, others, planned

GIB = 2**30
QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
CASES = [(name, count) for name in NAMES for count in (1, 2, 4, 8) if count <= len(described(name).status.gpus)]
LAB_SCHEMAS = sorted(Path("~/.cache/hikube/lab").expanduser().glob("tools-*/tree/usr/share/libvirt/schemas/domain.rng"))
SCHEMAS = [*filter(Path.exists, [Path("/usr/share/libvirt/schemas/domain.rng")]), *LAB_SCHEMAS[-1:]]

case = pytest.mark.parametrize(("name", "count"), CASES)


def root_of(vm: Planned) -> Element:
    return ElementTree.fromstring(vm.xml)


def numbers(text: str) -> set[int]:
    """`0-3,8` as the numbers that it means."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def passed(root: Element) -> Iterator[tuple[str, Element]]:
    """Host address and guest address of each passed function."""
    for hostdev in root.iterfind("devices/hostdev"):
        source, address = hostdev.find("source/address"), hostdev.find("address")
        assert source is not None
        assert address is not None
        yield address_of(*(int(source.get(part, ""), 0) for part in ("domain", "bus", "slot", "function"))), address


def controllers(root: Element) -> dict[int, Element]:
    found = {int(each.get("index", "")): each for each in root.iterfind("devices/controller[@type='pci']")}
    assert len(found) == len(root.findall("devices/controller[@type='pci']")), "an index is used twice"
    return found


@case
def test_the_xml_is_as_it_was(name: str, count: int, snapshot: SnapshotAssertion) -> None:
    assert planned(name, count).xml == snapshot


@case
def test_the_reasons_are_as_they_were(name: str, count: int, snapshot: SnapshotAssertion) -> None:
    assert "\n".join(planned(name, count).made.reasons) == snapshot


@case
def test_every_gpu_is_alone_behind_a_root_port(name: str, count: int) -> None:
    root = root_of(planned(name, count))
    known = controllers(root)
    gpus = {gpu.address for gpu in described(name).status.gpus}
    buses = [int(address.get("bus", ""), 0) for host, address in passed(root) if host in gpus]
    assert len(buses) == count
    assert len(set(buses)) == count
    assert all(known[bus].get("model") == "pcie-root-port" for bus in buses), "a GPU sits on pcie.0 or on no port"


@case
def test_companions_follow_their_gpu_in_its_slot(name: str, count: int) -> None:
    root = root_of(planned(name, count))
    slots: dict[str, list[tuple[str, Element]]] = {}
    for host, address in passed(root):
        slots.setdefault(host.rsplit(".", 1)[0], []).append((host, address))
    expected = {gpu.address.rsplit(".", 1)[0]: 1 + len(gpu.companions) for gpu in described(name).status.gpus}
    for card, members in slots.items():
        assert len(members) == expected[card], "a function of the card stays behind"
        assert len({(address.get("bus"), address.get("slot")) for _, address in members}) == 1
        assert [int(address.get("function", ""), 0) for _, address in members] == list(range(len(members)))
        flags = [address.get("multifunction") for _, address in members]
        assert flags == (["on"] if len(members) > 1 else [None]) + [None] * (len(members) - 1)


@case
def test_the_window_holds_all_bars_and_ends_within_the_address_space(name: str, count: int) -> None:
    vm = planned(name, count)
    root, status = root_of(vm), vm.host.status
    owned = {host for host, _ in passed(root)}
    sizes = [size for gpu in status.gpus if gpu.address in owned for size in gpu.bar_bytes]
    window = int(root.findtext("devices/controller[@model='pcie-root']/pcihole64", "0")) * 1024
    assert window >= 2 * sum(sizes) or window >= sum(sizes) + 2 * max(sizes)
    assert window >= sum(sizes)
    width = min(status.capabilities.address_width_bits or 0, status.iommu_address_width_bits or 0)
    assert window + (vm.size.memory_mib + 4096) * 2**20 <= 2**width
    told = [arg.get("value", "") for arg in root.iterfind(f"{QEMU}commandline/{QEMU}arg")]
    firmware = 2 ** min(width, 46) // 8
    if told:
        asked = re.fullmatch(r"name=opt/ovmf/X-PciMmio64Mb,string=(\d+)", told[1])
        assert asked is not None
        assert int(asked[1]) <= 0x1000000
        firmware = int(asked[1]) * 2**20
        assert firmware + (vm.size.memory_mib + 4096) * 2**20 <= 2**width
    assert firmware >= window


@case
def test_no_more_address_bits_than_the_iommu_maps(name: str, count: int) -> None:
    vm = planned(name, count)
    capabilities, iommu = vm.host.status.capabilities, vm.host.status.iommu_address_width_bits or 0
    width = root_of(vm).find("cpu/maxphysaddr")
    assert width is not None
    bits = int(width.get("limit") or width.get("bits") or capabilities.address_width_bits or 0)
    assert bits <= iommu
    if width.get("limit"):
        assert int(capabilities.libvirt_version.split(".")[0]) >= 10, "older ones drop the limit without a word"


@case
def test_every_port_has_a_chassis_and_a_place_of_its_own(name: str, count: int) -> None:
    """libvirt takes a controller's index for its chassis; its place is its own word, or the next that is free on pcie.0."""
    known = controllers(root_of(planned(name, count)))
    ports = {index: each for index, each in known.items() if each.get("model") == "pcie-root-port"}
    assert max(ports) <= 0xFF
    placed = [
        (a.get("bus"), a.get("slot"), a.get("function")) for each in ports.values() if (a := each.find("address")) is not None
    ]
    assert len(set(placed)) == len(placed)
    for bus, slot, _ in placed:
        assert known[int(bus or "", 0)].get("model") == "pcie-expander-bus"
        assert int(slot or "", 0) < 32
    # Slots of eight functions each; the first two and the last are q35's own.
    assert len(ports) - len(placed) <= 29 * 8


@case
def test_roots_leave_room_for_the_buses_below_them(name: str, count: int) -> None:
    known = controllers(root_of(planned(name, count)))
    roots = {0: 0} | {
        index: int(target.get("busNr", ""))
        for index, each in known.items()
        if each.get("model") == "pcie-expander-bus" and (target := each.find("target")) is not None
    }
    below = dict.fromkeys(roots, 0)
    for each in known.values():
        if each.get("model") == "pcie-root-port":
            address = each.find("address")
            below[0 if address is None else int(address.get("bus", ""), 0)] += 1
    spans = sorted((first, first + below[index]) for index, first in roots.items())
    assert all(last < following for (_, last), (following, _) in pairwise(spans))
    assert spans[-1][1] <= 0xFF


@case
def test_the_guest_sees_each_gpu_on_the_node_that_it_is_on(name: str, count: int) -> None:
    vm = planned(name, count)
    root, status = root_of(vm), vm.host.status
    cells = {int(each.get("id", "")): each for each in root.iterfind("cpu/numa/cell")}
    if len(status.numa_nodes) < 2:
        assert not cells
        return
    known = controllers(root)
    backing = {int(each.get("cellid", "")): int(each.get("nodeset", "")) for each in root.iterfind("numatune/memnode")}
    assert backing.keys() == cells.keys() == set(range(len(cells)))
    node_of = {gpu.address: gpu.numa_node for gpu in status.gpus}
    for host, address in passed(root):
        port = known[int(address.get("bus", ""), 0)].find("address")
        assert port is not None
        node = known[int(port.get("bus", ""), 0)].findtext("target/node", "")
        if host in node_of:
            assert backing[int(node)] == node_of[host]
    used = {node_of[host] for host, _ in passed(root) if host in node_of}
    assert set(backing.values()) == used, "a node without a GPU of this VM"


@case
def test_memory_and_vcpus_add_up(name: str, count: int) -> None:
    vm = planned(name, count)
    root, status = root_of(vm), vm.host.status
    memory = root.find("memory")
    assert memory is not None
    assert int(memory.text or "") == vm.size.memory_mib
    assert int(root.findtext("vcpu", "")) == vm.size.vcpus
    topology = root.find("cpu/topology")
    assert topology is not None
    assert int(topology.get("sockets", "")) * int(topology.get("cores", "")) == vm.size.vcpus
    cells = root.findall("cpu/numa/cell")
    page = root.find("memoryBacking/hugepages/page")
    page_kib = 1 if page is None else int(page.get("size", ""))
    if cells:
        assert sum(int(cell.get("memory", "")) for cell in cells) == vm.size.memory_mib
        cpus = [cpu for cell in cells for cpu in sorted(numbers(cell.get("cpus", "")))]
        assert cpus == list(range(vm.size.vcpus))
        assert all(int(cell.get("memory", "")) * 1024 % page_kib == 0 for cell in cells)
    free = {pool.node: pool.free * pool.size_kib // 1024 for pool in status.hugepages if pool.size_kib == page_kib}
    for cell, tune in zip(cells, root.findall("numatune/memnode"), strict=True):
        assert tune.get("mode") == ("strict" if page is not None else "preferred")
        if page is not None:
            assert int(cell.get("memory", "")) <= free[int(tune.get("nodeset", ""))]


@case
def test_pins_stay_on_the_node_and_are_nobody_elses(name: str, count: int) -> None:
    vm = planned(name, count)
    root, status = root_of(vm), vm.host.status
    cpus = {node.id: set(node.cpus) for node in status.numa_nodes}
    backing = [int(each.get("nodeset", "")) for each in root.iterfind("numatune/memnode")]
    pins = {int(each.get("vcpu", "")): numbers(each.get("cpuset", "")) for each in root.iterfind("cputune/vcpupin")}
    for cell, node in zip(root.findall("cpu/numa/cell"), backing, strict=True):
        for vcpu in numbers(cell.get("cpus", "")):
            assert pins[vcpu] <= cpus[node]
    single = [next(iter(pin)) for pin in pins.values() if len(pin) == 1]
    assert len(set(single)) == len(single)


@case
def test_nothing_that_a_passed_device_forbids(name: str, count: int) -> None:
    root = root_of(planned(name, count))
    balloon = root.find("devices/memballoon")
    assert balloon is not None
    assert balloon.get("model") == "none"
    assert root.find("memtune") is None, "a limit below memory and its overhead breaks VFIO"
    assert root.find("memoryBacking/nosharepages") is not None
    assert root.find("devices/iommu") is None
    assert all(each.get("managed") == "no" for each in root.iterfind("devices/hostdev"))
    assert not [entry for entry in root.iterfind("sysinfo") if entry.get("type") == "fwcfg"], "libvirt refuses it"


def test_switches_of_a_board_stay_with_the_host() -> None:
    switches = {each["address"] for each in others("h100-hgx")}
    assert switches
    for count in (1, 8):
        assert not switches & {host for host, _ in passed(root_of(planned("h100-hgx", count)))}


@case
def test_libvirt_defines_it(name: str, count: int) -> None:
    """libvirt's test driver checks PCI addresses, NUMA cells and pins against each other."""
    root = root_of(planned(name, count))
    root.set("type", "test")
    connection = libvirt.open("test:///default")
    try:
        domain = connection.defineXML(ElementTree.tostring(root, encoding="unicode"))
        kept = ElementTree.fromstring(domain.XMLDesc())
        domain.undefine()
    finally:
        connection.close()
    assert [address.attrib for _, address in passed(kept)] == [address.attrib for _, address in passed(root)]
    assert [cell.get("cpus") for cell in kept.iterfind("cpu/numa/cell")] == [
        cell.get("cpus") for cell in root.iterfind("cpu/numa/cell")
    ]


@pytest.mark.parametrize("schema", SCHEMAS or [None], ids=lambda schema: str(schema and schema.parents[4].name))
def test_libvirts_schema_accepts_them_all(schema: Path | None, tmp_path: Path) -> None:
    if schema is None or shutil.which("xmllint") is None:
        pytest.skip("no schema of libvirt, or no xmllint (packages libvirt-daemon, libxml2-utils)")
    knows_limit = '"limit"' in schema.with_name("cputypes.rng").read_text()
    files = []
    for name, count in CASES:
        for firmware in ("bios", "efi"):
            xml = planned(name, count, firmware=firmware).xml
            if knows_limit or " limit=" not in xml:
                files.append(tmp_path / f"{name}-{count}-{firmware}.xml")
                files[-1].write_text(xml)
    assert files
    done = subprocess.run(
        ["xmllint", "--noout", "--relaxng", schema, *files], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
