"""What libvirt's node-device XML says about PCI functions, and which GPUs follow from it. Pure: text in, values out.

Facts that shape it: numbers of an address are decimal, class and ids hexadecimal; `<driver>` is absent for a function without a
driver; `<numa>` is absent where the platform does not say; a group lists all of its members, itself included. Bridges are
known by their header (`<capability type='pci-bridge'>`), since NVSwitches have a bridge class and are endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from provisioner.model.gpu_host import GpuFacts, GpuHealth, GpuRule
from provisioner.model.pci import PciFunction, address_of

_PCI_BRIDGE_CLASS = "0604"
_PARTS_OF_A_PCI_NAME = 5


@dataclass(frozen=True, slots=True)
class Link:
    """A PCI Express link."""

    speed_gts: float | None = None
    width: int | None = None


@dataclass(frozen=True, slots=True)
class PciNode:
    """One PCI function as its XML describes it."""

    function: PciFunction
    parent: str = ""
    """libvirt's name of the device above, such as `pci_0000_00_01_0`; `computer` at the root."""
    iommu_group: int | None = None
    group_members: tuple[str, ...] = ()
    numa_node: int | None = None
    link_capability: Link = Link()
    link_state: Link = Link()
    virtual_functions: int = 0


def node_name(address: str) -> str:
    """libvirt's name of the function at this address."""
    return "pci_" + address.replace(":", "_").replace(".", "_")


def address_of_node(name: str) -> str:
    """The address of the function that libvirt calls so; empty if it is no PCI function."""
    parts = name.split("_")
    return f"{parts[1]}:{parts[2]}:{parts[3]}.{parts[4]}" if parts[0] == "pci" and len(parts) == _PARTS_OF_A_PCI_NAME else ""


def parse(xml: str) -> PciNode | None:
    """The function that one node device's XML describes; None if it is no PCI device.

    Raises:
        ElementTree.ParseError: it is no XML.
    """
    root = ElementTree.fromstring(xml)  # noqa: S314  written by libvirtd; expat here refuses entity expansion attacks
    pci = root.find("capability[@type='pci']")
    if pci is None:
        return None
    group = pci.find("iommuGroup")
    numa = pci.find("numa")
    return PciNode(
        function=_function(root, pci),
        parent=root.findtext("parent", ""),
        iommu_group=None if group is None else int(group.get("number", "-1")),
        group_members=() if group is None else tuple(_address(member) for member in group.findall("address")),
        numa_node=None if numa is None else int(numa.get("node", "-1")),
        link_capability=_link(pci, "cap"),
        link_state=_link(pci, "sta"),
        virtual_functions=len(pci.findall("capability[@type='virt_functions']/address")),
    )


def _function(root: ElementTree.Element, pci: ElementTree.Element) -> PciFunction:
    pci_class = pci.findtext("class", "").removeprefix("0x").lower()
    is_bridge = pci.find("capability[@type='pci-bridge']") is not None or pci_class.startswith(_PCI_BRIDGE_CLASS)
    return PciFunction(
        address=address_of(*(int(pci.findtext(part, "0")) for part in ("domain", "bus", "slot", "function"))),
        vendor=_id(pci, "vendor"),
        device=_id(pci, "product"),
        pci_class=pci_class,
        driver=root.findtext("driver/name", ""),
        is_bridge=is_bridge,
    )


def _id(pci: ElementTree.Element, tag: str) -> str:
    element = pci.find(tag)
    return "" if element is None else element.get("id", "").removeprefix("0x").lower()


def _address(element: ElementTree.Element) -> str:
    return address_of(*(int(element.get(part, "0"), 0) for part in ("domain", "bus", "slot", "function")))


def _link(pci: ElementTree.Element, validity: str) -> Link:
    element = pci.find(f"pci-express/link[@validity='{validity}']")
    if element is None:
        return Link()
    speed, width = element.get("speed"), element.get("width")
    return Link(speed_gts=float(speed) if speed else None, width=int(width) if width else None)


def is_gpu(function: PciFunction, rules: Iterable[GpuRule]) -> bool:
    """Whether some rule counts this function as a GPU. Bridges never count."""
    return not function.is_bridge and any(_matches(function, rule) for rule in rules)


def _matches(function: PciFunction, rule: GpuRule) -> bool:
    wanted = (
        not rule.vendor or function.vendor == rule.vendor.lower(),
        not rule.pci_class or function.pci_class.startswith(rule.pci_class.lower()),
        not rule.ids or function.id in {pair.lower() for pair in rule.ids},
        not rule.addresses or function.address in rule.addresses,
    )
    return all(wanted)


def gpus(nodes: Sequence[PciNode], rules: Sequence[GpuRule]) -> tuple[GpuFacts, ...]:
    """Every GPU among the host's functions, by address, with what must travel with it."""
    by_address = {node.function.address: node for node in nodes}
    by_name = {node_name(address): node for address, node in by_address.items()}
    found = [node for address, node in sorted(by_address.items()) if is_gpu(node.function, rules)]
    return tuple(_facts(node, by_address, by_name) for node in found)


def _facts(node: PciNode, by_address: dict[str, PciNode], by_name: dict[str, PciNode]) -> GpuFacts:
    health, message = _health(node)
    return GpuFacts(
        function=node.function,
        name=node.function.id,
        iommu_group=node.iommu_group,
        companions=_companions(node, by_address),
        numa_node=node.numa_node,
        pcie_parent=_bridge_above(node, by_name),
        link_speed_gts=node.link_capability.speed_gts,
        link_width=node.link_state.width,
        health=health,
        health_message=message,
    )


def _companions(node: PciNode, by_address: dict[str, PciNode]) -> tuple[PciFunction, ...]:
    others = sorted(address for address in node.group_members if address != node.function.address)
    members = (by_address[address].function for address in others if address in by_address)
    return tuple(member for member in members if not member.is_bridge)


def _bridge_above(node: PciNode, by_name: dict[str, PciNode]) -> str:
    parent = by_name.get(node.parent)
    while parent is not None and not parent.function.is_bridge:
        parent = by_name.get(parent.parent)
    return parent.function.address if parent is not None else ""


def _health(node: PciNode) -> tuple[GpuHealth, str]:
    if node.iommu_group is None:
        return GpuHealth.UNUSABLE, "it is in no IOMMU group; switch the IOMMU on in firmware and kernel"
    if node.virtual_functions:
        return (
            GpuHealth.UNUSABLE,
            f"{node.virtual_functions} virtual functions are enabled; vfio-pci refuses it until they are off",
        )
    width, widest = node.link_state.width, node.link_capability.width
    if width and widest and width < widest:
        return GpuHealth.OK, f"its link runs at x{width} of x{widest}"
    return GpuHealth.OK, ""
