"""Networks of a host: reservations and filters through libvirt, publications through the host's own packet filter.

A reservation is written into the running network and into its definition, each looked at for itself: one of the two may have
been lost. dnsmasq takes it over at once; no network is restarted. libvirt lets nothing new in to the guests of a NAT network
and cannot be told otherwise, so what is published is done by a program on the host (templates/networks/packet_filter.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libvirt

from provisioner.drivers.host_shell.protocol import HostShell
from provisioner.drivers.libvirt import network_looks, network_xml
from provisioner.drivers.libvirt.connection import Connection
from provisioner.drivers.libvirt.errors import is_gap, is_not_found
from provisioner.model.errors import Conflict, Unsupported
from provisioner.model.network import AddressReservation, NetworkFacts, Publication
from templates.networks import packet_filter_program, publication_digest, publication_rules

_LIVE, _CONFIG = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE, libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG
_ADD, _DELETE = libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE
_HOSTS = libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST
_ANY_SUBNET = -1


class LibvirtNetworks:
    """Networks of one host. Without a shell nothing can be published there, and `why_no_shell` is said."""

    def __init__(self, connection: Connection, *, shell: HostShell | None, why_no_shell: str) -> None:
        self._connection = connection
        self._shell = shell
        self._why_no_shell = why_no_shell

    def look(self, name: str) -> NetworkFacts | None:
        """The libvirt network as it is now, or None if there is none of that name."""
        return self._connection.run(lambda raw: network_looks.network(raw, name), what=f"cannot look at network {name}")

    def reserve(self, network: str, reservation: AddressReservation) -> None:
        """Have the network's DHCP give this address to this MAC address, now and after it was started anew.

        Raises:
            NotFound: there is no such network.
            Conflict: the address or the name is reserved for another MAC address.
        """
        wanted = reservation.model_copy(update={"mac_address": reservation.mac_address.lower()})
        what = f"cannot reserve {wanted.address} on network {network}"

        def reserve(raw: libvirt.virConnect) -> None:
            found = raw.networkLookupByName(network)
            for affected, known in _reservations(found):
                _reserve(found, wanted, affected=affected, known=known, what=what)

        self._connection.run(reserve, what=what)

    def release(self, network: str, *, mac_address: str) -> None:
        """Take the reservation back. Nothing to do without one, or without the network."""

        def release(raw: libvirt.virConnect) -> None:
            try:
                found = raw.networkLookupByName(network)
            except libvirt.libvirtError as error:
                if is_not_found(error):
                    return
                raise
            for affected, known in _reservations(found):
                for each in known:
                    if each.mac_address == mac_address.lower():
                        found.update(_DELETE, _HOSTS, _ANY_SUBNET, network_xml.host_element(each), affected)

        self._connection.run(release, what=f"cannot release the address of {mac_address} on network {network}")

    def define_filter(self, name: str, xml: str) -> None:
        """Define or redefine a filter; interfaces that name it follow at once.

        Raises:
            InvalidInput: the XML is refused.
            Unsupported: the host's libvirt has no filters.
        """
        self._connection.run(lambda raw: raw.nwfilterDefineXML(xml), what=f"cannot define filter {name}")

    def undefine_filter(self, name: str) -> None:
        """Remove it; absent is success, and so is a libvirt without filters.

        Raises:
            Conflict: an interface of a running domain names it.
        """

        def undefine(raw: libvirt.virConnect) -> None:
            try:
                raw.nwfilterLookupByName(name).undefine()
            except libvirt.libvirtError as error:
                if not (is_not_found(error) or is_gap(error)):
                    raise

        self._connection.run(undefine, what=f"cannot remove filter {name}")

    def publish(self, publication: Publication, *, timeout_s: float) -> None:
        """Let in what this says, in place of what was let in under that name before. See the protocol."""
        arguments = {"action": "publish", "rules": publication_rules(publication), "digest": publication_digest(publication)}
        self._run(publication, arguments, what=f"cannot publish {publication.name}", timeout_s=timeout_s)

    def withdraw(self, publication: Publication, *, timeout_s: float) -> None:
        """Let in nothing any more under that name. See the protocol."""
        what = f"cannot withdraw {publication.name}"
        self._run(publication, {"action": "withdraw"}, what=what, timeout_s=timeout_s)

    def published(self, *, timeout_s: float) -> tuple[str, ...]:
        """`Publication.table` of everything that is published on the host, sorted. See the protocol."""
        found = self._ask({"action": "published"}, what="cannot see what is published", timeout_s=timeout_s)
        return tuple(sorted(map(str, found["tables"])))

    def filters_bridges(self, *, timeout_s: float) -> bool | None:
        """Whether filters before bridged interfaces see IP packets at all (br_netfilter); None where nobody can look."""
        if self._shell is None:
            return None
        found = self._ask({"action": "bridges"}, what="cannot see what bridges filter", timeout_s=timeout_s)
        return bool(found["filtered"])

    def _run(self, publication: Publication, arguments: dict[str, Any], *, what: str, timeout_s: float) -> None:
        facts = {
            "table": publication.table,
            "guest": publication.guest_address,
            "bridge": publication.bridge,
            "external": publication.external_address,
            "interface": publication.interface,
        }
        self._ask(facts | arguments, what=what, timeout_s=timeout_s)

    def _ask(self, arguments: dict[str, Any], *, what: str, timeout_s: float) -> Any:
        if self._shell is None:
            raise Unsupported(what, why=self._why_no_shell)
        answer = self._shell.run_python(packet_filter_program(), arguments=arguments, timeout_s=timeout_s, what=what)
        if answer.get("missing"):
            raise Unsupported(what, why=f"the host has no {answer['missing']}", hint="install the package nftables there")
        return answer


def _reservations(network: libvirt.virNetwork) -> Iterator[tuple[int, tuple[AddressReservation, ...]]]:
    """What is reserved in the running network and in its definition, with the flag that changes each."""
    is_active, is_persistent = bool(network.isActive()), bool(network.isPersistent())
    try:
        definition = network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE) if is_persistent else ""
    except libvirt.libvirtError as error:
        if not is_gap(error):
            raise
        yield (_LIVE if is_active else 0) | _CONFIG, network_xml.parse_network(network.XMLDesc(), active=is_active).reservations
        return
    if is_active:
        yield _LIVE, network_xml.parse_network(network.XMLDesc(), active=True).reservations
    if is_persistent:
        yield _CONFIG, network_xml.parse_network(definition, active=False).reservations


def _reserve(
    network: libvirt.virNetwork,
    wanted: AddressReservation,
    *,
    affected: int,
    known: tuple[AddressReservation, ...],
    what: str,
) -> None:
    if wanted in known:
        return
    for each in known:
        is_same_name = bool(wanted.name) and each.name == wanted.name
        if each.mac_address != wanted.mac_address and (each.address == wanted.address or is_same_name):
            raise Conflict(what, why=f"{each.name or each.address} is reserved for {each.mac_address}")
    for each in known:
        if each.mac_address == wanted.mac_address:
            network.update(_DELETE, _HOSTS, _ANY_SUBNET, network_xml.host_element(each), affected)
    network.update(_ADD, _HOSTS, _ANY_SUBNET, network_xml.host_element(wanted), affected)
