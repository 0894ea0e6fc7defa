"""Which address a VM gets: on a network with DHCP once and for its whole life, and from outside where it asks for one.

Choices are functions of what is taken, and the search begins at a place that follows from the VM's name: VMs that start at once
rarely want the same address, and a VM that is made anew under its name gets the one that it had, if it is still free. Whoever
acts on a choice reserves it; a reservation that somebody else made in the meantime is found in the next look, and another
address is chosen then.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from provisioner.model.network import NetworkFacts, Subnet

MOST_ADDRESSES = 65_536
"""Looked through at most, of one range or network."""


def choose_address(network: NetworkFacts, *, mac_address: str, name: str, before: str = "") -> str | None:
    """The address for this interface: the one reserved for it, else the one that it had `before`, else a free one.

    None if the network gives out no addresses, or has none left; `has_dhcp` tells which.
    """
    mac_address = mac_address.lower()
    for known in network.reservations:
        if known.mac_address.lower() == mac_address:
            return known.address
    free = _Free(network, mac_address=mac_address, name=name)
    if before and free.may_have(before):
        return before
    return free.first()


def has_dhcp(network: NetworkFacts) -> bool:
    """Whether the host itself gives out addresses on that network."""
    return any(subnet.ranges for subnet in network.subnets)


def subnet_of(network: NetworkFacts, address: str) -> str:
    """The subnet of the network that holds the address, as `192.168.122.0/24`; empty if none does."""
    for subnet in network.subnets:
        if ipaddress.IPv4Address(address) in _network(subnet):
            return str(_network(subnet))
    return ""


def choose_external(offered: Iterable[str], *, taken: Collection[str], before: str = "") -> str | None:
    """An address that the host's spec offers and nobody has: the one that the VM had `before`, if it may keep it."""
    kept = ipaddress.IPv4Address(before) if before else None
    networks = [ipaddress.IPv4Network(text) for text in offered]
    if kept is not None and before not in taken and any(kept in network for network in networks):
        return before
    return next((address for address in _hosts(networks) if address not in taken), None)


def count_external(offered: Iterable[str]) -> int:
    """How many addresses a host's spec offers, as far as they are looked through."""
    return sum(1 for _ in _hosts([ipaddress.IPv4Network(text) for text in offered]))


def _hosts(networks: Iterable[ipaddress.IPv4Network]) -> Iterator[str]:
    """Of a network larger than two addresses the first and the last are left out: where it is on a wire, they are no host's."""
    for network in networks:
        yield from (str(address) for address in islice(network.hosts(), MOST_ADDRESSES))


class _Free:
    """The addresses of a network that this interface may have."""

    def __init__(self, network: NetworkFacts, *, mac_address: str, name: str) -> None:
        self._subnets = [subnet for subnet in network.subnets if subnet.ranges]
        others = [known for known in (*network.reservations, *network.leases) if known.mac_address.lower() != mac_address]
        self._taken = {known.address for known in others} | {subnet.gateway for subnet in network.subnets}
        self._start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        self._own_leases = {known.address for known in network.leases if known.mac_address.lower() == mac_address}

    def may_have(self, address: str) -> bool:
        number = int(ipaddress.IPv4Address(address))
        return address not in self._taken and any(first <= number <= last for first, last in self._ranges())

    def first(self) -> str | None:
        """What it was given before anything was reserved, else the next free one from its own place on."""
        for address in sorted(self._own_leases):
            if self.may_have(address):
                return address
        ranges = list(self._ranges())
        count = min(sum(last - first + 1 for first, last in ranges), MOST_ADDRESSES)
        for offset in range(count):
            address = _nth(ranges, (self._start + offset) % count)
            if self.may_have(address):
                return address
        return None

    def _ranges(self) -> Iterator[tuple[int, int]]:
        for subnet in self._subnets:
            inside = _network(subnet)
            for each in subnet.ranges:
                first = max(int(ipaddress.IPv4Address(each.first)), int(inside.network_address) + 1)
                last = min(int(ipaddress.IPv4Address(each.last)), int(inside.broadcast_address) - 1)
                if first <= last:
                    yield first, last


def _nth(ranges: list[tuple[int, int]], position: int) -> str:
    for first, last in ranges:
        if position <= last - first:
            return str(ipaddress.IPv4Address(first + position))
        position -= last - first + 1
    raise AssertionError("the position is within the ranges")


def _network(subnet: Subnet) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(f"{subnet.gateway}/{subnet.prefix}", strict=False)
