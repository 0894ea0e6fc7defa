"""What the XML of networks, of leases and of node devices says about networks. Pure; written by libvirtd, read here."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from xml.etree import ElementTree

from provisioner.model.gpu_host import HostNetwork
from provisioner.model.network import AddressRange, AddressReservation, NetworkFacts, Subnet

_OF_GUESTS = re.compile(r"vnet\d+|macvtap\d+|tap\w*|lo")
"""Interfaces that come and go with guests, and the one that leads nowhere."""


def parse_network(xml: str, *, active: bool) -> NetworkFacts:
    """A network without its leases, which its XML does not have."""
    root = ElementTree.fromstring(xml)  # noqa: S314  written by libvirtd
    forward, bridge = root.find("forward"), root.find("bridge")
    addresses = [element for element in root.findall("ip") if element.get("family", "ipv4") == "ipv4"]
    return NetworkFacts(
        name=root.findtext("name", ""),
        active=active,
        forward="" if forward is None else forward.get("mode", "nat"),
        bridge="" if bridge is None else bridge.get("name", ""),
        subnets=tuple(_subnet(element) for element in addresses),
        reservations=tuple(_reservations(addresses)),
    )


def summary(facts: NetworkFacts) -> HostNetwork:
    """What a survey keeps of it."""
    return HostNetwork(name=facts.name, active=facts.active, forward=facts.forward, bridge=facts.bridge)


def host_element(reservation: AddressReservation) -> str:
    """The reservation as virNetworkUpdate takes it."""
    element = ElementTree.Element("host", mac=reservation.mac_address)
    if reservation.name:
        element.set("name", reservation.name)
    element.set("ip", reservation.address)
    return ElementTree.tostring(element, encoding="unicode")


def interface_of(node_xml: str) -> str:
    """The name of the host's own network interface that a node device is; empty if it is a guest's."""
    name = ElementTree.fromstring(node_xml).findtext("capability[@type='net']/interface", "")  # noqa: S314
    return "" if _OF_GUESTS.fullmatch(name) else name


def _subnet(element: ElementTree.Element) -> Subnet:
    mask = element.get("prefix") or element.get("netmask") or "24"
    prefix = ipaddress.IPv4Network(f"0.0.0.0/{mask}").prefixlen
    ranges = tuple(
        AddressRange(first=each.get("start", ""), last=each.get("end", "")) for each in element.findall("dhcp/range")
    )
    return Subnet(gateway=element.get("address", ""), prefix=prefix, ranges=ranges)


def _reservations(addresses: list[ElementTree.Element]) -> Iterator[AddressReservation]:
    for element in addresses:
        for host in element.findall("dhcp/host"):
            if host.get("mac") and host.get("ip"):
                yield AddressReservation(
                    mac_address=host.get("mac", "").lower(), address=host.get("ip", ""), name=host.get("name", "")
                )
