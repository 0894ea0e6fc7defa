"""Virtual machines of a host.

A domain is ours if and only if its metadata bears our mark; its name decides nothing. States are taken from libvirt's state and
the reason that goes with it:

    shut off, because it crashed or because the daemon had to give it up -> CRASHED
    shut off for any other reason                                        -> OFF
    everything that still has a QEMU                                     -> RUNNING

A guest that resets where `on_reboot` is destroy ends as `shut off (shutdown)`, exactly as one that powers itself off: libvirt
keeps no trace that tells the two apart, so it is OFF here and the caller must remember whether anybody asked for it. Reasons
are kept in libvirtd's memory: a crash is OFF once libvirtd was restarted after it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TypeVar

import libvirt

from provisioner.drivers.hypervisor import Domain, DomainState
from provisioner.drivers.libvirt import domain_xml
from provisioner.drivers.libvirt.connection import CALL_TIMEOUT_S, Connection
from provisioner.drivers.libvirt.errors import is_connection_lost, is_gap, is_not_found
from provisioner.model.errors import Conflict, InvalidInput, NotFound, Unsupported

T = TypeVar("T")

_UNDEFINE_EVERYTHING = (
    libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
)
_CRASHES = frozenset({libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, libvirt.VIR_DOMAIN_SHUTOFF_DAEMON})
_FORCE = libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE
_SOURCES = (
    libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
    libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT,
    libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
)
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")


class LibvirtDomains:
    """Domains of one host."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def define(self, xml: str) -> Domain:
        """Define or redefine a domain from XML that is checked against libvirt's schema. Does not start it.

        Raises:
            InvalidInput: the XML is refused.
            AlreadyExists: another domain has the name or the UUID.
        """

        def define(raw: libvirt.virConnect) -> Domain:
            return _read(raw.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE))

        what = "cannot define the domain"
        try:
            return self._connection.run(define, what=what)
        except Unsupported as error:
            raise InvalidInput(error.what, why=error.why, context=error.context) from error

    def start(self, name: str, *, timeout_s: float) -> None:
        """Start it; a running one is success. Pins guest memory when devices are passed, so it can take minutes.

        Raises:
            NotFound: not defined.
            DeviceBusy: a passed device is in use or not on vfio-pci.
            HostTimeout: it did not return in time; it may still start.
        """

        def start(raw: libvirt.virConnect) -> None:
            domain = raw.lookupByName(name)
            _unless(lambda: bool(domain.isActive()), domain.create)

        self._connection.run(start, what=f"cannot start domain {name}", timeout_s=timeout_s)

    def shutdown(self, name: str) -> None:
        """Ask the guest to power off; returns at once. Nothing to do for an absent or stopped one."""

        def shutdown(domain: libvirt.virDomain) -> None:
            _unless(lambda: not domain.isActive(), domain.shutdown)

        self._if_there(name, shutdown, what=f"cannot shut domain {name} down", timeout_s=CALL_TIMEOUT_S)

    def destroy(self, name: str, *, timeout_s: float) -> None:
        """Stop it hard. Nothing to do for an absent or stopped one."""

        def destroy(domain: libvirt.virDomain) -> None:
            _unless(lambda: not domain.isActive(), domain.destroy)

        self._if_there(name, destroy, what=f"cannot stop domain {name}", timeout_s=timeout_s)

    def undefine(self, name: str) -> None:
        """Remove the definition, with its firmware variables. Absent is success.

        Raises:
            Conflict: it runs. (libvirt itself would let it run on without a definition.)
        """
        what = f"cannot undefine domain {name}"

        def undefine(domain: libvirt.virDomain) -> None:
            if domain.isActive():
                raise Conflict(what, why="it is running")
            try:
                domain.undefineFlags(_UNDEFINE_EVERYTHING)
            except libvirt.libvirtError as error:
                if not is_gap(error):
                    raise
                domain.undefine()

        self._if_there(name, undefine, what=what, timeout_s=CALL_TIMEOUT_S)

    def look(self, name: str) -> Domain | None:
        """The domain as it is now, or None if there is none of that name."""
        return self._if_there(name, _read, what=f"cannot look at domain {name}", timeout_s=CALL_TIMEOUT_S)

    def owned(self) -> tuple[Domain, ...]:
        """Every domain that bears our mark."""
        found = self._connection.run(_owned, what="cannot list domains")
        return tuple(sorted(found, key=lambda domain: domain.name))

    def eject(self, name: str, target: str) -> None:
        """Empty the CD-ROM `target` (`sda`) of the running domain and of its definition. An empty one is success.

        Raises:
            NotFound: no such domain or drive.
        """
        what = f"cannot eject {target} of domain {name}"

        def eject(raw: libvirt.virConnect) -> None:
            domain = raw.lookupByName(name)
            if domain.isActive():
                _eject(domain, target, what, read=0, change=libvirt.VIR_DOMAIN_AFFECT_LIVE | _FORCE)
            if domain.isPersistent():
                _eject(domain, target, what, read=libvirt.VIR_DOMAIN_XML_INACTIVE, change=libvirt.VIR_DOMAIN_AFFECT_CONFIG)

        self._connection.run(eject, what=what)

    def addresses(self, name: str, *, mac_address: str) -> tuple[str, ...]:
        """IPv4 addresses of that interface, best source first (lease, agent, ARP); loopback and link-local left out.

        A stopped or absent domain has none. The agent is asked only if it is connected: it would block otherwise.
        """

        def ask(domain: libvirt.virDomain) -> tuple[str, ...]:
            if not domain.isActive():
                return ()
            has_agent = domain_xml.parse(domain.XMLDesc()).has_agent
            sources = [one for one in _SOURCES if has_agent or one != libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT]
            found = [address for source in sources for address in _addresses(domain, source, mac_address)]
            return tuple(dict.fromkeys(found))

        return self._if_there(name, ask, what=f"cannot ask for addresses of {name}", timeout_s=CALL_TIMEOUT_S) or ()

    def _if_there(self, name: str, act: Callable[[libvirt.virDomain], T], *, what: str, timeout_s: float) -> T | None:
        """What `act` makes of the domain; None if there is none, or if it vanishes while it is being acted on."""

        def run(raw: libvirt.virConnect) -> T | None:
            try:
                return act(raw.lookupByName(name))
            except libvirt.libvirtError as error:
                if is_not_found(error):
                    return None
                raise

        return self._connection.run(run, what=what, timeout_s=timeout_s)


def _unless(holds: Callable[[], bool], act: Callable[[], object]) -> None:
    """Do it unless it holds already; a refusal counts for nothing if it holds by then (somebody else was quicker)."""
    if holds():
        return
    try:
        act()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID or not holds():
            raise


def _read(domain: libvirt.virDomain) -> Domain:
    document = domain_xml.parse(domain.XMLDesc())
    return Domain(
        name=document.name,
        uuid=document.uuid,
        state=_state(*domain.state()),
        owner_uid=document.owner_uid or "",
        functions=document.functions,
    )


def _state(state: int, reason: int) -> DomainState:
    if state == libvirt.VIR_DOMAIN_CRASHED:
        return DomainState.CRASHED
    if state != libvirt.VIR_DOMAIN_SHUTOFF:
        return DomainState.RUNNING
    return DomainState.CRASHED if reason in _CRASHES else DomainState.OFF


def _owned(raw: libvirt.virConnect) -> list[Domain]:
    found: list[Domain] = []
    for domain in raw.listAllDomains():
        try:
            if _is_ours(domain):
                found.append(_read(domain))
        except libvirt.libvirtError as error:
            if not is_not_found(error):
                raise
    return found


def _is_ours(domain: libvirt.virDomain) -> bool:
    """Cheaper than the whole XML; a domain without the mark raises a not-found, which the caller passes over."""
    return bool(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, domain_xml.MARK_NAMESPACE))


def _eject(domain: libvirt.virDomain, target: str, what: str, *, read: int, change: int) -> None:
    xml = domain.XMLDesc(read)
    has_medium = domain_xml.has_medium(xml, target)
    if has_medium is None:
        raise NotFound(what, why="it has no such CD-ROM drive")
    if has_medium:
        domain.updateDeviceFlags(domain_xml.emptied_drive(xml, target), change)


def _addresses(domain: libvirt.virDomain, source: int, mac_address: str) -> list[str]:
    try:
        interfaces = domain.interfaceAddresses(source)
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return []  # a source that cannot answer says nothing about the others
    found: list[str] = []
    for interface in (interfaces or {}).values():
        if (interface.get("hwaddr") or "").lower() == mac_address.lower():
            found += [entry["addr"] for entry in interface.get("addrs") or () if _is_useful(entry["addr"])]
    return found


def _is_useful(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed.version == 4 and not (parsed.is_loopback or parsed.is_link_local or parsed in _THIS_NETWORK)
