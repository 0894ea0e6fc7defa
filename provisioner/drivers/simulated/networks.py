"""Simulated networks: reservations that DHCP honours, filters, and a packet filter that remembers what it was told.

A host without a way in (`Inside.why_not`) publishes nothing, as a real one that is reached through libvirt alone.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from provisioner.drivers.simulated.link import Link
from provisioner.drivers.simulated.state import HostState
from provisioner.model.errors import Conflict, InvalidInput, NotFound, Unsupported
from provisioner.model.network import AddressReservation, NetworkFacts, Publication


class SimulatedNetworks:
    """See drivers.networks.Networks."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def look(self, name: str) -> NetworkFacts | None:
        """See the protocol."""
        with self._link.call("networks.look", subject=name) as state:
            return state.network(name)

    def reserve(self, network: str, reservation: AddressReservation) -> None:
        """See the protocol."""
        with self._link.call("networks.reserve", subject=reservation.mac_address) as state:
            if state.network(network) is None:
                raise NotFound(f"There is no network {network} on {state.name}", context={"network": network})
            wanted = reservation.model_copy(update={"mac_address": reservation.mac_address.lower()})
            others = tuple(each for each in _reserved(state, network) if each.mac_address != wanted.mac_address)
            for each in others:
                if each.address == wanted.address or (wanted.name and each.name == wanted.name):
                    why = f"{each.name or each.address} is reserved for {each.mac_address}"
                    raise Conflict(f"Address {wanted.address} of network {network} cannot be reserved", why=why)
            state.wires.reservations[network] = (*others, wanted)

    def release(self, network: str, *, mac_address: str) -> None:
        """See the protocol. The lease goes as well, as if its time were up."""
        with self._link.call("networks.release", subject=mac_address) as state:
            kept = tuple(each for each in _reserved(state, network) if each.mac_address != mac_address.lower())
            state.wires.reservations[network] = kept
            state.leases.pop(mac_address.lower(), None)

    def define_filter(self, name: str, xml: str) -> None:
        """See the protocol."""
        with self._link.call("networks.define_filter", subject=name) as state:
            try:
                root = ET.fromstring(xml)  # noqa: S314 - a simulated host is given nothing that hikube did not render itself
            except ET.ParseError as error:
                raise InvalidInput("The filter's XML is refused", why=str(error)) from error
            if root.tag != "filter" or root.get("name") != name:
                raise InvalidInput("The filter's XML is refused", why=f"it is no filter {name}")
            state.wires.filters[name] = xml

    def undefine_filter(self, name: str) -> None:
        """See the protocol."""
        with self._link.call("networks.undefine_filter", subject=name) as state:
            for record, live in state.running():
                if any(interface.filter_name == name for interface in live.interfaces):
                    raise Conflict(f"Filter {name} cannot be removed", why=f"domain {record.config.name} uses it")
            state.wires.filters.pop(name, None)

    def publish(self, publication: Publication, *, timeout_s: float) -> None:
        """See the protocol."""
        with self._link.call("networks.publish", subject=publication.name, limit_s=timeout_s) as state:
            _inside(state).wires.publications[publication.table] = publication

    def withdraw(self, publication: Publication, *, timeout_s: float) -> None:
        """See the protocol."""
        with self._link.call("networks.withdraw", subject=publication.name, limit_s=timeout_s) as state:
            _inside(state).wires.publications.pop(publication.table, None)

    def published(self, *, timeout_s: float) -> tuple[str, ...]:
        """See the protocol."""
        with self._link.call("networks.published", limit_s=timeout_s) as state:
            return tuple(sorted(_inside(state).wires.publications))

    def filters_bridges(self, *, timeout_s: float) -> bool | None:
        """See the protocol."""
        with self._link.call("networks.filters_bridges", limit_s=timeout_s) as state:
            return None if state.inside.why_not else state.wires.filters_bridges


def _reserved(state: HostState, network: str) -> tuple[AddressReservation, ...]:
    return state.wires.reservations.get(network, ())


def _inside(state: HostState) -> HostState:
    if state.inside.why_not:
        raise Unsupported("The host's packet filter cannot be reached", why=state.inside.why_not)
    return state
