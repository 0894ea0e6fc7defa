"""Reads the XML of a domain as a simulated libvirt does: the same text that a real one is given.

It refuses what libvirt's schema would refuse first: no name, no memory, an element that does not exist. It does not check the
whole schema; a real libvirt in the contract suite does. Only what decides something in the simulation is kept.
"""

from __future__ import annotations

import uuid
import xml.etree.ElementTree as ET
from collections.abc import Mapping

from provisioner.drivers.simulated.guest_buses import GuestBus, guest_buses
from provisioner.drivers.simulated.state import DiskDevice, DomainConfig, NetworkInterface, PassedDevice
from provisioner.model.errors import InvalidInput
from provisioner.model.pci import address_of

MARK = "{https://hikube.cloud/xmlns/domain/1}vm"
"""The element in a domain's metadata that makes it ours."""

RECORD = "{https://hikube.cloud/xmlns/domain/1}record"

_BYTES = {"b": 1, "bytes": 1, "k": 1024, "KiB": 1024, "M": 1024**2, "MiB": 1024**2, "G": 1024**3, "GiB": 1024**3}
_SOURCES = {"network": "network", "bridge": "bridge", "direct": "dev"}
"""Kinds of interfaces, and where each says what it is on."""
_ELEMENT_NAMES = """
    name uuid genid title description metadata memory currentMemory maxMemory memoryBacking memtune vcpu vcpus iothreads
    iothreadids cputune numatune blkiotune resource sysinfo os features cpu clock on_poweroff on_reboot on_crash on_lockfailure
    pm perf devices seclabel launchSecurity idmap bootloader bootloader_args keywrap throttlegroups
"""
_DEVICE_NAMES = """
    emulator disk controller lease filesystem interface smartcard serial parallel console channel input tpm graphics sound audio
    video hostdev redirdev redirfilter hub watchdog memballoon rng nvram panic shmem memory iommu vsock crypto pstore
"""


def parse_domain(text: str) -> DomainConfig:
    """The domain that the text describes.

    Raises:
        InvalidInput: it is no XML, or no domain that libvirt would take.
    """
    try:
        root = ET.fromstring(text)  # noqa: S314 - a simulated host is given nothing that hikube did not render itself
        return _domain(root)
    except (ET.ParseError, ValueError, KeyError) as error:
        raise InvalidInput("The domain XML is refused", why=str(error)) from error


def _domain(root: ET.Element) -> DomainConfig:
    if root.tag != "domain":
        raise ValueError(f"unexpected root element <{root.tag}>, expecting <domain>")
    devices = root.find("devices")
    devices = ET.Element("devices") if devices is None else devices
    _refuse_unknown(root, known=_ELEMENT_NAMES)
    _refuse_unknown(devices, known=_DEVICE_NAMES)
    if not root.findtext("os/type"):
        raise ValueError("an os <type> must be specified")
    name = _text(root, "name")
    mark = root.find(f"metadata/{MARK}")
    cpu = root.find("cpu")
    buses = guest_buses(devices, cells=len(root.findall("cpu/numa/cell")))
    return DomainConfig(
        name=name,
        uuid=str(uuid.UUID(root.findtext("uuid"))) if root.findtext("uuid") else str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
        owner_uid="" if mark is None else mark.attrib["uid"],
        record="" if mark is None else mark.findtext(RECORD, ""),
        domain_type=root.attrib["type"],
        cpu_mode="" if cpu is None else cpu.get("mode", ""),
        memory_mib=_memory_mib(root),
        vcpus=int(root.findtext("vcpu", "1")),
        on_reboot=root.findtext("on_reboot", "restart"),
        has_console=devices.find("serial") is not None,
        console_log=_console_log(devices),
        firmware=_firmware(root),
        hugepage_kib=_hugepage_kib(root),
        memory_of_node_mib=_memory_of_nodes(root),
        disks=tuple(_disk(disk) for disk in devices.findall("disk")),
        devices=tuple(_device(hostdev, index, buses) for index, hostdev in enumerate(devices.findall("hostdev"))),
        interfaces=tuple(_interface(interface) for interface in devices.findall("interface")),
    )


def _refuse_unknown(parent: ET.Element, *, known: str) -> None:
    names = frozenset(known.split())
    for child in parent:
        if not child.tag.startswith("{") and child.tag not in names:
            raise ValueError(f"XML document failed to validate against schema: did not expect element {child.tag} there")


def _text(root: ET.Element, path: str) -> str:
    text = (root.findtext(path) or "").strip()
    if not text:
        raise ValueError(f"missing {path} information")
    return text


def _memory_mib(root: ET.Element) -> int:
    memory = root.find("memory")
    unit = "KiB" if memory is None else memory.get("unit", "KiB")
    return int(_text(root, "memory")) * _BYTES[unit] // 1024**2


def _hugepage_kib(root: ET.Element) -> int:
    page = root.find("memoryBacking/hugepages/page")
    return 0 if page is None else int(page.get("size", "0")) * _BYTES[page.get("unit", "KiB")] // 1024


def _memory_of_nodes(root: ET.Element) -> dict[int, int]:
    """Of cells that are bound to one node of the host."""
    node_of = {each.get("cellid"): int(each.get("nodeset", "0")) for each in root.iterfind("numatune/memnode[@mode='strict']")}
    found: dict[int, int] = {}
    for cell in root.iterfind("cpu/numa/cell"):
        if cell.get("id") in node_of:
            node = node_of[cell.get("id")]
            amount = int(cell.get("memory", "0")) * _BYTES[cell.get("unit", "KiB")] // 1024**2
            found[node] = found.get(node, 0) + amount
    return found


def _disk(disk: ET.Element) -> DiskDevice:
    source = disk.find("source")
    source = ET.Element("source") if source is None else source
    return DiskDevice(
        target=_child(disk, "target").attrib["dev"],
        is_cdrom=disk.get("device") == "cdrom",
        path=source.get("file", ""),
        pool=source.get("pool", ""),
        volume=source.get("volume", ""),
    )


def _console_log(devices: ET.Element) -> str:
    log = devices.find("serial/log")
    return "" if log is None else log.attrib["file"]


def _firmware(root: ET.Element) -> str:
    """`efi` where libvirt is to choose it; BIOS is what is there without a word."""
    element = root.find("os")
    return "bios" if element is None else element.get("firmware", "bios")


def _device(hostdev: ET.Element, index: int, buses: Mapping[int, GuestBus]) -> PassedDevice:
    if hostdev.get("type") != "pci" or hostdev.get("managed", "no") != "no":
        raise ValueError("a simulated host passes PCI devices with managed='no' only")
    host_address = _address(_child(hostdev, "source/address"))
    address = hostdev.find("address")
    if address is None:
        return PassedDevice(host_address, address_of(0, 0x10 + index, 0, 0))
    domain, port, slot, function = _numbers(address)
    bus = buses.get(port) or GuestBus(port)
    return PassedDevice(host_address, address_of(domain, bus.number, slot, function), bus.numa_node)


def _address(address: ET.Element) -> str:
    return address_of(*_numbers(address))


def _numbers(address: ET.Element) -> tuple[int, int, int, int]:
    domain, bus, slot, function = (int(address.get(part, "0"), 0) for part in ("domain", "bus", "slot", "function"))
    return domain, bus, slot, function


def _interface(interface: ET.Element) -> NetworkInterface:
    kind, source, filter_reference = interface.get("type", ""), _child(interface, "source"), interface.find("filterref")
    if kind not in _SOURCES:
        raise ValueError(f"unknown type {kind!r} of <interface> on a simulated host")
    return NetworkInterface(
        mac_address=_child(interface, "mac").attrib["address"].lower(),
        network=source.attrib["network"] if kind == "network" else "",
        source="" if kind == "network" else source.attrib[_SOURCES[kind]],
        is_direct=kind == "direct",
        filter_name="" if filter_reference is None else filter_reference.attrib["filter"],
    )


def _child(parent: ET.Element, path: str) -> ET.Element:
    child = parent.find(path)
    if child is None:
        raise ValueError(f"missing element {path} in <{parent.tag}>")
    return child
