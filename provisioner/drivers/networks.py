"""The seam to a host's networks, a part of drivers/hypervisor.py and under its rules: idempotent, no wait for a guest.

Reservations and filters are libvirt's; what is published is the host's own packet filter's, which libvirt knows nothing of.
"""

from __future__ import annotations

from typing import Protocol

from provisioner.model.network import AddressReservation, NetworkFacts, Publication


class Networks(Protocol):
    """The host's networks: addresses kept for VMs, filters before their interfaces, and what of them is published."""

    def look(self, name: str) -> NetworkFacts | None:
        """The libvirt network as it is now, or None if there is none of that name."""
        ...

    def reserve(self, network: str, reservation: AddressReservation) -> None:
        """Have the network's DHCP give this address to this MAC address, now and after it was started anew.

        An earlier reservation of the MAC address is replaced.

        Raises:
            NotFound: there is no such network.
            Conflict: the address or the name is reserved for another MAC address.
        """
        ...

    def release(self, network: str, *, mac_address: str) -> None:
        """Take the reservation back. Nothing to do without one, or without the network."""
        ...

    def define_filter(self, name: str, xml: str) -> None:
        """Define or redefine a filter (`<filter>`); interfaces that name it follow at once.

        Raises:
            InvalidInput: the XML is refused.
            Unsupported: the host's libvirt has no filters.
        """
        ...

    def undefine_filter(self, name: str) -> None:
        """Remove it; absent is success.

        Raises:
            Conflict: an interface of a running domain names it.
        """
        ...

    def publish(self, publication: Publication, *, timeout_s: float) -> None:
        """Have the host let in what this says, in place of what it let in under that name before; all of it or nothing.

        What is there already is left alone, so asking again is how rules are made anew that a reboot of the host, or a restart
        of its libvirtd, has swept away.

        Raises:
            Unsupported: no program can be run on that host, or it has no nftables.
        """
        ...

    def withdraw(self, publication: Publication, *, timeout_s: float) -> None:
        """Let in nothing any more under that name; its name is enough. Nothing to do where nothing is. Raises as `publish`."""
        ...

    def published(self, *, timeout_s: float) -> tuple[str, ...]:
        """`Publication.table` of everything that is published on the host, sorted. Raises as `publish`."""
        ...

    def filters_bridges(self, *, timeout_s: float) -> bool | None:
        """Whether filters before bridged interfaces see IP packets at all (br_netfilter); None where nobody can look."""
        ...
