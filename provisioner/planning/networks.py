"""What the networks of a VM are on its host: which kind of interface each becomes, and how the VM is reached from outside.

A name in a VM's spec is an entry of the host's `networks`, else the name of a libvirt network there; a VM that names none gets
the host's own. How a guest is reached from outside follows from the first of its networks that leads there:

    nat        the host translates: an external address of the host's is published
    routed     the guest's own address, through the host, which filters
    bridged    the guest's own address, past the host; libvirt's filter on its interface
    direct     the guest's own address, on the wire: nobody on the host sees the packets
    isolated   not at all
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from provisioner.model import domain_names
from provisioner.model.gpu_host import GPUHost
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.planning.plans import DomainInterface

Way = Literal["nat", "routed", "bridged", "direct", "isolated"]
_WAYS: dict[str, Way] = {"nat": "nat", "route": "routed", "open": "routed", "": "isolated"}


@dataclass(frozen=True, slots=True)
class Attachment:
    """One network of a VM on one host."""

    name: str
    """As the VM, or the host for it, calls it."""
    kind: Literal["network", "bridge", "direct"]
    source: str
    """Name of the libvirt network, of the bridge or of the interface."""
    way: Way


def attachment(name: str, host: GPUHost) -> Attachment:
    """What this name means on that host; a libvirt network that was not seen there counts as NAT."""
    mapped = host.spec.networks.get(name)
    if mapped is not None and mapped.bridge:
        return Attachment(name, "bridge", mapped.bridge, "bridged")
    if mapped is not None and mapped.direct:
        return Attachment(name, "direct", mapped.direct, "direct")
    source = mapped.network if mapped is not None and mapped.network else name
    known = next((network for network in host.status.networks if network.name == source), None)
    if known is None:
        return Attachment(name, "network", source, "nat")
    otherwise: Way = "bridged" if known.bridge else "direct"
    return Attachment(name, "network", source, _WAYS.get(known.forward, otherwise))


def attachments(names: Iterable[str], host: GPUHost) -> tuple[Attachment, ...]:
    """Those of a VM that names these networks; of one that names none, the host's own."""
    wanted = tuple(names) or tuple(filter(None, (host.spec.network,)))
    return tuple(attachment(name, host) for name in wanted)


def attachments_of(vm: VirtualMachine, host: GPUHost) -> tuple[Attachment, ...]:
    """The VM's networks on that host, in the order of its interfaces."""
    return attachments((network.name for network in vm.spec.networks), host)


def primary(found: Iterable[Attachment]) -> tuple[int, Attachment] | None:
    """Number and network of the interface by which the host, and so hikube, reaches the guest: the first that is not direct."""
    return next(((index, each) for index, each in enumerate(found) if each.way != "direct"), None)


def primary_mac(vm: VirtualMachine, host: GPUHost) -> str:
    """The MAC address of that interface; empty if there is none."""
    found = primary(attachments_of(vm, host))
    return "" if found is None else domain_names.mac_address(vm.metadata.uid, index=found[0])


def interfaces_of(vm: VirtualMachine, host: GPUHost) -> tuple[DomainInterface, ...]:
    """The VM's interfaces on that host, each with the MAC address that it has for life."""
    outside = outward_of(vm, host)
    return tuple(
        DomainInterface(
            kind=each.kind,
            source=each.source,
            mac_address=domain_names.mac_address(vm.metadata.uid, index=index),
            filter_name=domain_names.domain_name(vm.key) if (index, each) == outside and each.way == "bridged" else "",
        )
        for index, each in enumerate(attachments_of(vm, host))
    )


def outward(found: Iterable[Attachment], host: GPUHost, *, whole: bool) -> tuple[int, Attachment] | None:
    """The interface by which a VM is reached from outside: the first that can be, with its number. None if none can.

    A list of ports needs somebody who filters, and on a direct network nobody does.
    """
    ways = {"bridged", "routed", *(["nat"] if host.spec.external_addresses else []), *(["direct"] if whole else [])}
    return next(((index, each) for index, each in enumerate(found) if each.way in ways), None)


def outward_of(vm: VirtualMachine, host: GPUHost) -> tuple[int, Attachment] | None:
    """That of this VM, by its `externalMethod`; None without `external: true`."""
    whole = vm.spec.external_method == "WholeIP"
    return outward(attachments_of(vm, host), host, whole=whole) if vm.spec.external else None


def missing_networks(names: Iterable[str], host: GPUHost) -> Iterator[tuple[str, str]]:
    """Networks that the host cannot give: the name, and what is so. What was not looked for there is taken to be there."""
    known = {network.name: network for network in host.status.networks}
    found = attachments(names, host)
    for each in found:
        called = "" if each.source == each.name else f" is {each.kind} {each.source}, which"
        if each.kind == "network" and (each.source not in known or not known[each.source].active):
            so = "is not active" if each.source in known else "does not exist"
            yield each.name, f"network {each.name}{called} {so}"
        elif each.kind != "network" and host.status.interfaces and each.source not in host.status.interfaces:
            yield each.name, f"network {each.name}{called or f' is {each.kind} {each.source}, which'} does not exist"
    if found and primary(found) is None:
        names_of = " and ".join(each.name for each in found)
        yield (
            names_of,
            f"network {names_of} is direct, where the host cannot reach its guests; a NAT or bridge network must be beside it",
        )


def unpublishable(vm: VirtualMachine, hosts: Iterable[GPUHost]) -> str:
    """Why no host of these could give the VM what `external: true` asks for, and what to configure; empty if one could.

    Without hosts nothing is known, so nothing is said.
    """
    reasons = [why_unpublishable(vm, host) for host in hosts]
    return reasons[0] if reasons and all(reasons) else ""


def why_unpublishable(vm: VirtualMachine, host: GPUHost) -> str:
    """Why this host cannot give the VM what `external: true` asks for, whatever is free; empty if it can, or need not."""
    found = attachments_of(vm, host)
    if not vm.spec.external or outward_of(vm, host) is not None:
        return ""
    if not found:
        return f"it has no network on host `{host.metadata.name}`"
    network, where = found[0], f"on host `{host.metadata.name}`"
    if network.kind == "network" and network.source not in {known.name for known in host.status.networks}:
        return f"network `{network.name}` does not exist {where}"
    if network.way == "nat":
        return f"network `{network.name}` {where} is NAT, and the host's spec has no externalAddresses"
    if network.way == "direct":
        return f"nobody can filter ports on network `{network.name}` {where}, which is direct; use WholeIP, or a bridge"
    return f"network `{network.name}` {where} is isolated"
