"""Step `network`: the addresses that are the VM's own, the filter before its interface, and what is let in from outside.

    address on a network with DHCP    chosen once, reserved on the host; kept over stops, released on deletion
    external address                  claimed with the host (reserve.py); kept for as long as the VM has its host
    filter of a bridged interface     from before the domain is defined until after it is gone (filtering.py)
    publication                       from before the guest starts until it is asked to stop (publishing.py)

An address is written into the status before it is reserved, so a crash in between leaves a record of what to release. A VM that
was never handed over gives everything back with its failed attempt.
"""

from __future__ import annotations

from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.lifecycle.virtual_machine.domain import is_running
from provisioner.lifecycle.virtual_machine.filtering import remove_filter, stand_filter
from provisioner.lifecycle.virtual_machine.publishing import publish, withdraw
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.metadata import Key
from provisioner.model.network import AddressReservation, KeptAddress, NetworkFacts
from provisioner.model.virtual_machine import VMInstance
from provisioner.planning.addresses import choose_address, has_dhcp
from provisioner.planning.networks import Attachment, attachments_of

POLL_S = 5.0


def ready_network(view: VirtualMachineView) -> Verdict:
    """Every address is kept for the VM, the filter is there, and what is wanted from outside is let in."""
    kept: list[KeptAddress] = []
    for index, each in enumerate(attachments_of(view.resource, view.host)):
        found = _kept_address(view, each, mac_address=view.mac_addresses[index]) if each.kind == "network" else None
        if isinstance(found, Retry | Abort):
            return found
        kept += [found] if found is not None else []
    if not is_running(view):
        _release(view, [known for known in view.resource.status.kept_addresses if known not in kept])
        view.write(kept_addresses=tuple(kept))
    stand_filter(view)
    publish(view)
    return Done(", ".join(f"{each.address} on {each.network}" for each in kept))


def leave_network(view: VirtualMachineView) -> Verdict:
    """Nothing is let in and no filter stands; what the VM keeps over a stop, it keeps until its deletion."""
    if not view.resource.status.host:
        return Done()
    withdraw(view)
    remove_filter(view)
    if view.resource.is_being_deleted or not view.resource.status.first_ready:
        _release(view, view.resource.status.kept_addresses)
        view.write(kept_addresses=(), external_address="")
    return Done()


def _kept_address(view: VirtualMachineView, network: Attachment, *, mac_address: str) -> KeptAddress | Retry | Abort | None:
    """The VM's address on that network, reserved there; None where the host gives out no addresses."""
    networks = view.hypervisor.networks
    facts = networks.look(network.source)
    if facts is None:
        return Abort("NetworkMissing", f"host `{view.host.metadata.name}` has no network `{network.source}` any more")
    if not has_dhcp(facts):
        return None
    known = _known(view, facts, mac_address)
    before = known.address if known is not None else ""
    address = choose_address(facts, mac_address=mac_address, name=view.domain_name, before=before)
    if address is None:
        return Retry(POLL_S, "AddressesUsedUp", f"network `{network.source}` has no free address left")
    kept = KeptAddress(network=facts.name, mac_address=mac_address, address=address)
    reservation = AddressReservation(mac_address=mac_address, address=address, name=host_name(view.key))
    if kept != known:
        others = [other for other in view.resource.status.kept_addresses if other != known]
        view.write(kept_addresses=(*others, kept))
    if reservation not in facts.reservations:
        _release_namesakes(view, facts, reservation)
        networks.reserve(facts.name, reservation)
    return kept


def _release_namesakes(view: VirtualMachineView, facts: NetworkFacts, wanted: AddressReservation) -> None:
    """An earlier VM of this name that was removed behind our back keeps nothing: the name is this one's now."""
    for other in facts.reservations:
        if wanted.name and other.name == wanted.name and other.mac_address != wanted.mac_address:
            view.hypervisor.networks.release(facts.name, mac_address=other.mac_address)


def _known(view: VirtualMachineView, facts: NetworkFacts, mac_address: str) -> KeptAddress | None:
    kept = view.resource.status.kept_addresses
    return next((known for known in kept if (known.network, known.mac_address) == (facts.name, mac_address)), None)


def _release(view: VirtualMachineView, kept: list[KeptAddress] | tuple[KeptAddress, ...]) -> None:
    for known in kept:
        view.hypervisor.networks.release(known.network, mac_address=known.mac_address)


def host_name(key: Key) -> str:
    """What the network's DNS calls the VM: no other VM's name; empty where the VM's name begins with a digit, which is none."""
    if not key.name[0].isalpha():
        return ""
    return f"{key.name}.{key.namespace}{'.vmi' if key.kind == VMInstance.KIND else ''}"
