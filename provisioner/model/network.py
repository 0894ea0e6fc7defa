"""What a host's network is, which address of it is kept for whom, and what of a VM is to be reached from outside.

Values only: hosts fill them in, `planning.addresses` and `planning.networks` decide with them, the drivers act on them. IPv4
throughout; addresses are texts in their usual form.
"""

from __future__ import annotations

import hashlib
import re

from provisioner.model.metadata import Part

_TABLE = re.compile(r"hikube-[0-9a-f]{16}", re.ASCII)


class AddressReservation(Part):
    """An address that a network's DHCP gives to one MAC address and to nobody else."""

    mac_address: str
    address: str
    name: str = ""
    """What the network's DNS calls it."""


class AddressRange(Part):
    """Addresses that DHCP gives out, both ends included."""

    first: str
    last: str


class Subnet(Part):
    """One IPv4 subnet of a network that the host itself is part of."""

    gateway: str
    """The host's own address there."""
    prefix: int
    ranges: tuple[AddressRange, ...] = ()
    """Empty: no DHCP."""


class NetworkFacts(Part):
    """One libvirt network as the host has it now."""

    name: str
    active: bool
    forward: str = ""
    """nat, route, open, bridge, …; empty is isolated."""
    bridge: str = ""
    """The bridge on the host; empty where guests are on an interface directly."""
    subnets: tuple[Subnet, ...] = ()
    reservations: tuple[AddressReservation, ...] = ()
    leases: tuple[AddressReservation, ...] = ()
    """What DHCP has given out and not taken back."""


class KeptAddress(Part):
    """An address that a VM has on one network of its host, from its first start until its deletion."""

    network: str
    """libvirt's name of it."""
    mac_address: str
    address: str


class Publication(Part):
    """What of one VM is to be reached from outside, as the host's packet filter has to know it.

    With an `external_address`, packets to it are sent on to the guest, and what the guest begins comes from it: a VM on a NAT
    network. Without one, the guest's own address is reached through the host, which lets only these packets in: a VM on a
    routed network.
    """

    name: str
    """Of the VM's domain: one domain, one publication."""
    guest_address: str
    subnet: str
    """The guest's, `192.168.122.0/24`."""
    bridge: str
    """Between host and guest."""
    external_address: str = ""
    ports: tuple[int, ...] = ()
    """TCP ports; of no meaning where `whole` is set."""
    whole: bool = False
    """Every port of every protocol."""
    allows_icmp: bool = True
    interface: str = ""
    """Of the host: it has the external address as its own while this is published; empty: the address is routed to the host."""

    @property
    def table(self) -> str:
        """The table of the packet filter that holds all of it."""
        return publication_table(self.name)


def publication_table(name: str) -> str:
    """The table that holds the publication of the domain `name`; a table's own name, which has no dot, is as good."""
    if _TABLE.fullmatch(name):
        return name
    return f"hikube-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
