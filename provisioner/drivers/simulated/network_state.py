"""What a simulated host remembers of its networks, and the addresses that its DHCP gives out.

Each network gets a subnet by its position among the host's, 192.168.122.0/24 the first, with 250 addresses. Reservations are
honoured as dnsmasq does: the address of a reservation is nobody else's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioner.model.network import AddressRange, AddressReservation, NetworkFacts, Publication, Subnet

FIRST_SUBNET = 122
FIRST_HOST, LAST_HOST = 2, 251
BEYOND = "198.51.100."
_WITH_A_SUBNET = frozenset({"nat", "route", "open", ""})


@dataclass(slots=True)
class NetworkRecords:
    """Beside whether a network is active, which `HostState.networks` says."""

    forwards: dict[str, str] = field(default_factory=dict)
    """Forward mode by name; nat where there is none."""
    bridges: dict[str, str] = field(default_factory=dict)
    """Bridge of the host under a network whose forward mode is bridge."""
    interfaces: tuple[str, ...] = ("eno1", "br0")
    """Of the host itself."""
    reservations: dict[str, tuple[AddressReservation, ...]] = field(default_factory=dict)
    """By network."""
    filters_bridges: bool = True
    filters: dict[str, str] = field(default_factory=dict)
    """XML by name."""
    publications: dict[str, Publication] = field(default_factory=dict)
    """By table. A reboot of the host sweeps them away."""

    def forward_of(self, network: str) -> str:
        """Its forward mode."""
        return self.forwards.get(network, "nat")

    def facts(self, network: str, *, active: bool, position: int, leases: Mapping[str, str]) -> NetworkFacts:
        """The network as a look shows it; `position` is its place among the host's, `leases` are those of all of them."""
        forward = self.forward_of(network)
        has_subnet = forward in _WITH_A_SUBNET
        stem = f"192.168.{FIRST_SUBNET + position}."
        hosts = AddressRange(first=f"{stem}{FIRST_HOST}", last=f"{stem}{LAST_HOST}")
        given = [mac_address for mac_address in sorted(leases) if has_subnet and leases[mac_address].startswith(stem)]
        return NetworkFacts(
            name=network,
            active=active,
            forward=forward,
            bridge=f"virbr{position}" if has_subnet else self.bridges.get(network, ""),
            subnets=(Subnet(gateway=f"{stem}1", prefix=24, ranges=(hosts,)),) if has_subnet else (),
            reservations=tuple(self.reservations.get(network, ())),
            leases=tuple(AddressReservation(mac_address=each, address=leases[each]) for each in given),
        )


def lease(facts: NetworkFacts | None, leases: dict[str, str], *, mac_address: str) -> str:
    """The address that this MAC address gets: the reserved one, the one that it had, or the next; empty if none is left.

    Without a network of the host's, it comes from a DHCP server somewhere beyond it.
    """
    reservations = facts.reservations if facts is not None else ()
    reserved = {known.mac_address: known.address for known in reservations}
    if mac_address in reserved:
        leases[mac_address] = reserved[mac_address]
    if mac_address not in leases:
        taken = {*leases.values(), *reserved.values()}
        stem = facts.subnets[0].gateway.removesuffix("1") if facts is not None and facts.subnets else BEYOND
        hosts = (f"{stem}{host}" for host in range(FIRST_HOST, LAST_HOST + 1))
        leases[mac_address] = next((address for address in hosts if address not in taken), "")
    return leases[mac_address]
