"""How the firmware of a q35 guest numbers the buses behind its root ports, and which NUMA node each belongs to.

The main root has bus 0; its root ports follow in the order of their indexes. An expander is a root with a bus number of its
own, and its ports follow in the order of their slots. What QEMU would refuse is refused: a node that the guest has not, two
roots whose buses overlap.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class GuestBus:
    """The bus behind one root port."""

    number: int
    numa_node: int | None = None


def guest_buses(devices: ET.Element, *, cells: int) -> dict[int, GuestBus]:
    """The bus behind each root port, by the index of its controller.

    Raises:
        ValueError: QEMU would refuse the layout.
    """
    controllers = [each for each in devices.findall("controller") if each.get("type") == "pci"]
    ports = [each for each in controllers if each.get("model") == "pcie-root-port"]
    expanders = {int(each.get("index", "0")): each for each in controllers if each.get("model") == "pcie-expander-bus"}
    found: dict[int, GuestBus] = {}
    roots: list[tuple[int, int]] = []
    for index, node in [(0, None), *((index, _node(each, cells=cells)) for index, each in expanders.items())]:
        own = sorted((each for each in ports if _parent(each, expanders) == index), key=_slot)
        first = 0 if index == 0 else int(_target(expanders[index]).get("busNr", "0"))
        found |= {int(each.get("index", "0")): GuestBus(first + 1 + place, node) for place, each in enumerate(own)}
        roots.append((first, first + len(own)))
    roots.sort()
    if any(last >= following for (_, last), (following, _) in pairwise(roots)) or roots[-1][1] > 0xFF:
        raise ValueError("PCI: buses of two roots overlap, or run out")
    return found


def _node(expander: ET.Element, *, cells: int) -> int | None:
    text = _target(expander).findtext("node")
    if text is not None and int(text) >= cells:
        raise ValueError(f"guest NUMA node {text} of a pcie-expander-bus does not exist")
    return None if text is None else int(text)


def _target(controller: ET.Element) -> ET.Element:
    target = controller.find("target")
    return ET.Element("target") if target is None else target


def _parent(port: ET.Element, expanders: dict[int, ET.Element]) -> int:
    address = port.find("address")
    bus = 0 if address is None else int(address.get("bus", "0"), 0)
    return bus if bus in expanders else 0


def _slot(port: ET.Element) -> tuple[int, int]:
    """By slot where it has one; the others in the order of their indexes, as libvirt fills slots."""
    address = port.find("address")
    return (0 if address is None else int(address.get("slot", "0"), 0), int(port.get("index", "0")))
