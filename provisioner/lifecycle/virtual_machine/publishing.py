"""What of a VM is reached from outside, and the condition Published that says so, or why not.

    nat        rules on the host send the external address's ports on to the guest
    routed     rules on the host let the listed ports in; with WholeIP there is nothing to do
    bridged    the filter before the interface does it (filtering.py); with WholeIP it lets everything in
    direct     nothing stands before the guest: WholeIP

A VM whose publication fails runs all the same, and says so: its owner can still reach it by the host. Rules vanish when a
host's libvirtd or network is started anew, so those of a Ready VM are asked for again once a minute; what is there stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.lifecycle.virtual_machine.filtering import stand_filter
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.errors import HikubeError, HostTimeout, HostUnreachable, Unsupported
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Key, find_condition
from provisioner.model.network import Publication
from provisioner.planning.addresses import choose_external, subnet_of
from provisioner.planning.networks import Attachment, outward_of, why_unpublishable

PUBLISHED = "Published"
TIMEOUT_S = 30.0
AGAIN_S = 60.0
"""How soon rules that a host has lost are there again."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be let in, and the words of the condition once it is; without a publication nothing is to be done for it."""

    reason: str
    message: str
    publication: Publication | None = None
    holds: bool = True
    """False: it cannot be had, and the words say why."""


def external_address_for(view: VirtualMachineView, host: str) -> str:
    """The external address that the VM has, or gets, on that host; empty if it needs none there or none is left.

    To be called in the turn of the snapshots, and written down before the turn ends: that is what makes it the VM's alone.
    """
    there = view.ports.store.get(GPUHost, host)
    outside = outward_of(view.resource, there)
    if outside is None or outside[1].way != "nat":
        return ""
    fleet = view.ports.snapshots.take(view.ports.store, view.ports.tables)
    return fleet.external_address(there, for_uid=view.resource.metadata.uid)


def publish(view: VirtualMachineView) -> None:
    """Let in what the spec wants, and nothing else; the condition says how that went.

    Raises:
        HostUnreachable: the host is away.
    """
    if not view.resource.spec.external:
        _let_go(view)
        return
    told = view.resource.status.publication
    try:
        wish = _wish(view)
        if told is not None and (wish.publication is None or _is_elsewhere(told, wish.publication)):
            withdraw(view)
        if wish.publication is not None:
            if wish.publication != view.resource.status.publication:
                view.write(publication=wish.publication)
            view.hypervisor.networks.publish(wish.publication, timeout_s=TIMEOUT_S)
    except Unsupported as error:  # what the host was told before may still stand there, and is taken back when that can be done
        view.write(publication=told)
        wish = Wish("NotSupported", str(error), holds=False)
    except HostTimeout as error:
        wish = Wish("HostTimeout", str(error), holds=False)
    except HostUnreachable:
        raise
    except HikubeError as error:
        wish = Wish("PublishingFailed", str(error), holds=False)
    _say(view, wish)


def withdraw(view: VirtualMachineView) -> None:
    """The host lets in nothing for the VM that it was told to. Raises whatever the host says; what it says is tried again."""
    told = view.resource.status.publication
    if told is None:
        return
    try:
        view.hypervisor.networks.withdraw(told, timeout_s=TIMEOUT_S)
    except Unsupported as error:  # the way in has gone since; nobody can take the rules out, and nobody is there to answer
        if not view.resource.is_being_deleted:
            return  # what is remembered is taken back, or told anew, when there is a way in again
        of_whom = told.external_address or told.guest_address
        view.tell("LeftBehind", f"rules for `{of_whom}` stay on the host: {error}", warning=True)
    changes = [view.condition(PUBLISHED, "False", "Withdrawn")] if view.holds(PUBLISHED) else []
    view.write(*changes, publication=None)


class PublicationWatch:
    """Sees that what is published stays so; remembers when it looked last, to save calls only."""

    def __init__(self) -> None:
        self._looked: dict[Key, tuple[int, float]] = {}
        """The generation of the spec, and when, by the monotonic clock."""

    def keep(self, view: VirtualMachineView) -> None:
        """Publish again what a Ready VM wants, if the last time is a while ago or its spec has changed. Raises as `publish`."""
        spec, status = view.resource.spec, view.resource.status
        generation, now_s = view.resource.metadata.generation, view.ports.clock.monotonic_s()
        looked_generation, looked_s = self._looked.get(view.key, (-1, 0.0))
        is_due = looked_generation != generation or now_s - looked_s >= AGAIN_S
        if not (spec.external or status.publication or status.external_address or status.network_filter) or not is_due:
            return
        self._looked[view.key] = (generation, now_s)
        _claim_address(view)
        publish(view)

    def forget(self, key: Key) -> None:
        """The VM is gone, or on its way."""
        self._looked.pop(key, None)


def _claim_address(view: VirtualMachineView) -> None:
    """For a VM that asks for it only now that it runs."""
    offered, before = view.host.spec.external_addresses, view.resource.status.external_address
    if not view.resource.spec.external or (before and choose_external(offered, taken=(), before=before) == before):
        return
    with view.ports.snapshots.turn:
        address = external_address_for(view, view.host.metadata.name)
        if address != before:
            view.write(external_address=address)


def _wish(view: VirtualMachineView) -> Wish:
    outside = outward_of(view.resource, view.host)
    if outside is None:
        return Wish("NoWayIn", why_unpublishable(view.resource, view.host), holds=False)
    index, network = outside
    if network.way in ("nat", "routed"):
        return _through_the_host(view, network, mac_address=view.mac_addresses[index])
    if network.way == "direct":
        return Wish("Open", f"everything, on network `{network.name}`")
    return _behind_a_filter(view, network)


def _through_the_host(view: VirtualMachineView, network: Attachment, *, mac_address: str) -> Wish:
    spec, status, is_whole = view.resource.spec, view.resource.status, view.resource.spec.external_method == "WholeIP"
    guest = _guest_address(view, mac_address)
    if network.way == "routed" and is_whole:
        return Wish("Open", f"everything, at {guest}" if guest else "everything")
    facts = view.hypervisor.networks.look(network.source)
    subnet = subnet_of(facts, guest) if facts is not None and guest else ""
    if facts is None or not subnet:
        return Wish("NoAddress", f"the guest has no address on network `{network.name}` that the host knows", holds=False)
    if network.way == "nat" and not status.external_address:
        why = f"no VM has given one of host `{view.host.metadata.name}` back yet"
        return Wish("NoExternalAddress", why, holds=False)
    publication = Publication(
        name=view.domain_name,
        guest_address=guest,
        subnet=subnet,
        bridge=facts.bridge,
        external_address=status.external_address if network.way == "nat" else "",
        ports=() if is_whole else tuple(sorted(spec.external_ports)),
        whole=is_whole,
        allows_icmp=spec.external_allow_icmp,
        interface=view.host.spec.external_interface if network.way == "nat" else "",
    )
    return Wish("Done", f"{_in_words(view)} at {publication.external_address or guest}", publication)


def _behind_a_filter(view: VirtualMachineView, network: Attachment) -> Wish:
    stand_filter(view)
    if not view.resource.status.network_filter:
        if view.resource.spec.external_method == "WholeIP":
            return Wish("Open", f"everything, on network `{network.name}`")
        why = "the guest was started without a filter: everything is let in until it restarts"
        return Wish("RestartRequired", why, holds=False)
    if view.resource.spec.external_method == "WholeIP":
        return Wish("Open", f"everything, on network `{network.name}`")
    if view.hypervisor.networks.filters_bridges(timeout_s=TIMEOUT_S) is False:
        why = "the host's kernel shows bridged packets to no filter, so everything is let in: load br_netfilter there, and set"
        return Wish("NotFiltered", f"{why} net.bridge.bridge-nf-call-iptables and -ip6tables to 1", holds=False)
    return Wish("Done", f"{_in_words(view)} on network `{network.name}`")


def _guest_address(view: VirtualMachineView, mac_address: str) -> str:
    """Where the guest is: as it was found, where it was; as it is kept for it, before."""
    status = view.resource.status
    if status.address and status.mac_address == mac_address:
        return status.address
    return next((known.address for known in status.kept_addresses if known.mac_address == mac_address), "")


def _in_words(view: VirtualMachineView) -> str:
    spec = view.resource.spec
    if spec.external_method == "WholeIP":
        return "everything"
    ports = ", ".join(map(str, sorted(spec.external_ports)))
    listed = [f"TCP {ports}" if ports else "", "ICMP" if spec.external_allow_icmp else ""]
    return " and ".join(filter(None, listed)) or "nothing"


def _is_elsewhere(told: Publication, wanted: Publication) -> bool:
    """Whether the host's own address has to be taken down before the other is put up; all else is replaced in place."""
    return (told.external_address, told.interface) != (wanted.external_address, wanted.interface)


def _let_go(view: VirtualMachineView) -> None:
    withdraw(view)
    stand_filter(view)
    if view.resource.status.external_address:
        view.write(external_address="")
    left = tuple(known for known in view.resource.status.conditions if known.type != PUBLISHED)
    if left != view.resource.status.conditions:
        view.resource = view.ports.store.update_status(view.resource.with_status(conditions=left))


def _say(view: VirtualMachineView, wish: Wish) -> None:
    known = find_condition(view.resource.status.conditions, PUBLISHED)
    is_news = known is None or (known.reason, known.message) != (wish.reason, wish.message)
    view.write(view.condition(PUBLISHED, "True" if wish.holds else "False", wish.reason, wish.message))
    if is_news:
        view.tell("Published" if wish.holds else "NotPublished", wish.message, warning=not wish.holds)
