"""Readers of what a GPUHost says about its networks: what names mean there, and which external addresses lead to it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from provisioner.model.door import names as read
from provisioner.model.door import scalars
from provisioner.model.door.nodes import shown
from provisioner.model.door.places import Place, fields_of, items_of, members_of
from provisioner.model.gpu_host import NetworkMapping

_WAYS = ("network", "bridge", "direct")
_HINTS = {
    "macvtap": "write direct, the interface of the host",
    "interface": "write direct, the interface of the host, or bridge, a bridge of the host",
    "nat": "write network, the libvirt network that does it",
    "libvirt": "write network, the name of the libvirt network",
}
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,62}", re.ASCII)
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}", re.ASCII)
_MOST_NAMES = 100
_LARGEST_NETWORK = 16


def read_network_mappings(place: Place | None) -> dict[str, NetworkMapping]:
    """What each name of a network stands for on the host: exactly one of `network`, `bridge` and `direct`."""
    found: dict[str, NetworkMapping] = {}
    for name, member in members_of(place):
        if not _WORD.fullmatch(name):
            member.mistake(f"{shown(name)} is no name of a network: only letters, digits, '+', '.', '_' and '-', at most 63")
        before = member.findings.noted
        fields = fields_of(member, _WAYS, hints=_HINTS)
        mapping = NetworkMapping(
            network=read.word(fields.get("network")),
            bridge=interface_name(fields.get("bridge")),
            direct=interface_name(fields.get("direct")),
        )
        given = [way for way in _WAYS if getattr(mapping, way)]
        if len(given) != 1 and member.findings.noted == before:
            also = f"not {' and '.join(given)}" if given else "and it says nothing"
            member.mistake(f"network {shown(name)} is one of network, bridge and direct, {also}", allowed=_WAYS)
        found[name] = mapping
    if place is not None and len(found) > _MOST_NAMES:
        place.mistake(f"at most {_MOST_NAMES} networks, not {len(found)}")
    return found


def interface_name(place: Place | None) -> str:
    """A network interface of the host, by the name that its kernel gives it; may be empty."""
    value = scalars.text(place).strip()
    if place is None or not value:
        return ""
    if not _INTERFACE.fullmatch(value):
        place.mistake(f"{shown(value)} is no name of a network interface such as br0 or enp65s0f0, at most 15 characters")
        return ""
    return value


def read_external_addresses(place: Place | None) -> tuple[str, ...]:
    """IPv4 addresses and networks, without overlaps."""
    return tuple(_external(place))


def _external(place: Place | None) -> Iterator[str]:
    seen: list[ipaddress.IPv4Network] = []
    for item in items_of(place, of_what="IPv4 addresses or networks", most=100):
        text = scalars.text(item).strip()
        try:
            network = ipaddress.IPv4Network(text)
        except ValueError as error:
            item.mistake(f"{shown(text)} is no IPv4 address or network such as 203.0.113.16/28: {error}")
            continue
        if network.prefixlen < _LARGEST_NETWORK:
            item.mistake(f"{shown(text)} is larger than a /{_LARGEST_NETWORK}; name the part that leads to this host")
        elif network.is_loopback or network.is_multicast or network.is_unspecified:
            item.mistake(f"{shown(text)} can be no address of a VM")
        elif overlapped := next((other for other in seen if network.overlaps(other)), None):
            item.mistake(f"{shown(text)} overlaps {overlapped}; name each address once")
        else:
            seen.append(network)
            yield str(network).removesuffix("/32")
