"""Looks at the networks of a host, on a thread of the connection: what a survey keeps, and one network as it is now."""

from __future__ import annotations

from collections.abc import Iterator

import libvirt

from provisioner.drivers.libvirt import network_xml
from provisioner.drivers.libvirt.errors import is_gap, is_not_found
from provisioner.model.gpu_host import HostNetwork
from provisioner.model.network import AddressReservation, NetworkFacts


def networks(raw: libvirt.virConnect) -> tuple[HostNetwork, ...]:
    """Every libvirt network of the host, by name; one that vanishes meanwhile is left out."""
    found = [facts for network in raw.listAllNetworks() if (facts := _facts(network)) is not None]
    return tuple(sorted(map(network_xml.summary, found), key=lambda network: network.name))


def interfaces(raw: libvirt.virConnect) -> tuple[str, ...]:
    """The host's own network interfaces and bridges, by name; empty where its libvirt does not list them."""
    try:
        devices = raw.listAllDevices(libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET)
    except libvirt.libvirtError as error:
        if is_gap(error):
            return ()
        raise
    return tuple(sorted(filter(None, map(_interface, devices))))


def network(raw: libvirt.virConnect, name: str) -> NetworkFacts | None:
    """That network with its leases, or None if there is none of that name."""
    try:
        found = raw.networkLookupByName(name)
    except libvirt.libvirtError as error:
        if is_not_found(error):
            return None
        raise
    facts = _facts(found)
    return None if facts is None else facts.model_copy(update={"leases": tuple(_leases(found))})


def _facts(found: libvirt.virNetwork) -> NetworkFacts | None:
    try:
        return network_xml.parse_network(found.XMLDesc(), active=bool(found.isActive()))
    except libvirt.libvirtError as error:
        if is_not_found(error):
            return None
        raise


def _interface(device: libvirt.virNodeDevice) -> str:
    try:
        return network_xml.interface_of(device.XMLDesc())
    except libvirt.libvirtError as error:
        if is_not_found(error):
            return ""
        raise


def _leases(found: libvirt.virNetwork) -> Iterator[AddressReservation]:
    """What dnsmasq has given out; nothing where there is none, or the network is not active."""
    try:
        leases = found.DHCPLeases()
    except libvirt.libvirtError as error:
        if is_gap(error) or error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:
            return
        raise
    for lease in leases:
        if lease.get("mac") and lease.get("type") == libvirt.VIR_IP_ADDR_TYPE_IPV4:
            name = lease.get("hostname") or ""
            yield AddressReservation(mac_address=lease["mac"].lower(), address=lease["ipaddr"], name=name)
