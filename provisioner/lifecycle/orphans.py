"""Sends home what runs under our mark without an owner: a start that took effect after its VM had gone, a VM removed by force.

    domains with our mark  -  owners in the store  -  strangers  =  orphans: seen twice, then stopped, undefined, GPUs cleaned

The host is asked before the store, so a VM that is just being made is never taken for an orphan. Domains that were there when
this store first saw the host are strangers: another store made them (or this one before it was lost), so they are told of once,
written down on the host, and never touched. Bounded: a few orphans a pass. Volumes stay, since they may hold data; what a guest
printed is none, and goes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from provisioner.drivers.hypervisor import Domain, DomainState, Hypervisor
from provisioner.lifecycle.gpu_claim.unowned import is_on_vfio, released_claim
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.stray_publications import sweep_publications
from provisioner.lifecycle.verdicts import Done, Retry, Verdict
from provisioner.lifecycle.view import View
from provisioner.model import domain_names
from provisioner.model.errors import AlreadyExists, Conflict, NotFound, Unsupported
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import find_condition
from provisioner.model.network import Publication
from provisioner.planning.refusals import counted
from provisioner.store.protocol import Event

STRANGERS_ANNOTATION = "hikube.cloud/strangers"
"""On a GPUHost: UUIDs of marked domains that this store did not make, separated by commas."""
SUSPECTS_ANNOTATION = "hikube.cloud/orphans"
"""On a GPUHost: UUIDs of domains that had no owner in the last pass."""
ORPHANS_PER_PASS = 5
AGAIN_S = 30.0
DESTROY_TIMEOUT_S = 60.0
RESTORE_TIMEOUT_S = 60.0
WITHDRAW_TIMEOUT_S = 30.0
INTERFACES_MAX = 16
"""Of one domain, whose addresses are looked for."""


def sweep_orphans(view: View[GPUHost], hypervisor: Hypervisor) -> Verdict:
    """One pass over the domains of the host; Retry while there are orphans.

    Raises: HostUnreachable and whatever the hypervisor says; what was begun is found again by the next pass.
    """
    marked = hypervisor.domains.owned()
    ownerless = _ownerless(marked, view.ports)
    strangers = _strangers(view, ownerless)
    orphans = [domain for domain in ownerless if domain.uuid not in strangers]
    suspects = noted_ids(view.resource, SUSPECTS_ANNOTATION)
    if orphans or suspects:
        note_ids(view, SUSPECTS_ANNOTATION, (domain.uuid for domain in orphans))
    for domain in [domain for domain in orphans if domain.uuid in suspects][:ORPHANS_PER_PASS]:
        _send_home(view.resource, domain, hypervisor, view.ports)
    if orphans:
        return Retry(AGAIN_S, "Orphans", f"{counted(len(orphans), 'domain')} without an owner: {orphans[0].name}")
    if strays := sweep_publications(view, hypervisor, marked):
        return Retry(AGAIN_S, "StrayRules", f"{counted(len(strays), 'table')} that lets packets in for no VM: {strays[0]}")
    return Done(f"{counted(len(marked), 'domain')} of ours")


def _ownerless(marked: Sequence[Domain], ports: Ports) -> list[Domain]:
    ownerless = ports.snapshots.ownerless((domain.owner_uid for domain in marked), ports.store, ports.tables)
    return [domain for domain in marked if domain.owner_uid in ownerless]


def _strangers(view: View[GPUHost], ownerless: Sequence[Domain]) -> set[str]:
    """What this store found on the host when it swept there for the first time; decided once."""
    host = view.resource
    if not is_first_sweep(host):
        return noted_ids(host, STRANGERS_ANNOTATION)
    note_ids(view, STRANGERS_ANNOTATION, (domain.uuid for domain in ownerless))
    for domain in ownerless:
        what = f"domain `{domain.name}` bears our mark, has no owner here, and is left alone"
        view.tell("StrangeDomain", f"{what}; `hikube host adopt {host.metadata.name}` would take it over", warning=True)
    return {domain.uuid for domain in ownerless}


def is_first_sweep(host: GPUHost) -> bool:
    """Whether this store never swept there; one that found no strangers wrote that down too."""
    swept = find_condition(host.status.conditions, "Swept")
    return STRANGERS_ANNOTATION not in host.metadata.annotations and (swept is None or swept.status != "True")


def noted_ids(host: GPUHost, annotation: str) -> set[str]:
    """What is written down there."""
    return set(filter(None, host.metadata.annotations.get(annotation, "").split(",")))


def note_ids(view: View[GPUHost], annotation: str, ids: Iterable[str]) -> None:
    """Write them down on the host; nothing is written where nothing changes. Raises Conflict: it was written meanwhile."""
    text, known = ",".join(sorted(ids)), view.resource.metadata.annotations
    if text != known.get(annotation):
        view.resource = view.ports.store.update(view.resource.with_metadata(annotations={**known, annotation: text}))


def _send_home(host: GPUHost, domain: Domain, hypervisor: Hypervisor, ports: Ports) -> None:
    """Its GPUs are locked before it stops, so that nobody gets them uncleaned in between."""
    _claim_its_gpus(host, domain, hypervisor, ports)
    hypervisor.domains.destroy(domain.name, timeout_s=DESTROY_TIMEOUT_S)
    hypervisor.domains.undefine(domain.name)
    claims = ports.snapshots.claims_on(host.metadata.name, ports.store, ports.tables)
    claimed = {address for claim in claims for address in _addresses(claim, host)}
    for address in reversed([address for address in domain.functions if address not in claimed]):
        _restore(address, hypervisor)
    _release_addresses(host, domain, hypervisor)
    _close_ways_in(domain, hypervisor)
    with contextlib.suppress(NotFound, Conflict):  # without its pool it stays: nothing here waits for a log
        hypervisor.volumes.delete(host.spec.storage_pool, domain_names.console_log_volume(domain.name))
    message = f"domain `{domain.name}` ran without an owner ({domain.owner_uid}) and was removed"
    ports.store.record(Event(host.key, "Warning", "OrphanRemoved", message))


def _claim_its_gpus(host: GPUHost, domain: Domain, hypervisor: Hypervisor, ports: Ports) -> None:
    """A released claim on each of its GPUs that nobody owns: the claim's table cleans them, as after any other tenant."""
    for gpu in host.status.gpus:
        if gpu.address not in domain.functions:
            continue
        if domain.state is not DomainState.RUNNING and not is_on_vfio(hypervisor.devices, gpu.address):
            continue  # the domain does not have it, and the host's own driver does
        claim = released_claim(host, gpu, last=domain.name, uid=domain.owner_uid, now=ports.now())
        try:
            ports.store.create(claim)
        except AlreadyExists:
            _take_over(claim, domain, ports)


def _take_over(wanted: GPUClaim, domain: Domain, ports: Ports) -> None:
    """A VM that claimed the GPU while this domain has it, and has not started with it, gets another one, or this one clean.

    Raises: AlreadyExists: somebody was faster to claim it anew; the next pass looks again.
    """
    known = ports.store.get(GPUClaim, wanted.metadata.name)
    is_its_own = known.spec.owner.uid == domain.owner_uid
    if domain.state is not DomainState.RUNNING or known.is_released or known.was_given or is_its_own:
        return
    ports.store.delete(known.key, uid=known.metadata.uid)
    ports.store.create(wanted.with_status(functions=known.status.functions or wanted.status.functions))


def _release_addresses(host: GPUHost, domain: Domain, hypervisor: Hypervisor) -> None:
    """What the host's networks keep for its interfaces; their MAC addresses follow from the uid of its owner."""
    macs = {domain_names.mac_address(domain.owner_uid, index=index) for index in range(INTERFACES_MAX)}
    for network in host.status.networks:
        facts = hypervisor.networks.look(network.name)
        for kept in facts.reservations if facts is not None else ():
            if kept.mac_address in macs:
                hypervisor.networks.release(network.name, mac_address=kept.mac_address)


def _close_ways_in(domain: Domain, hypervisor: Hypervisor) -> None:
    """Its filter, and what was published under its name."""
    hypervisor.networks.undefine_filter(domain.name)
    named = Publication(name=domain.name, guest_address="", subnet="", bridge="")
    with contextlib.suppress(Unsupported):  # where nothing can be withdrawn, nothing was published
        hypervisor.networks.withdraw(named, timeout_s=WITHDRAW_TIMEOUT_S)


def _addresses(claim: GPUClaim, host: GPUHost) -> tuple[str, ...]:
    """A claim's functions: they go home with the claim, which knows their drivers."""
    companions = [c.address for gpu in host.status.gpus if gpu.address == claim.spec.address for c in gpu.companions]
    return (claim.spec.address, *companions, *(function.address for function in claim.status.functions))


def _restore(address: str, hypervisor: Hypervisor) -> None:
    """To the driver of the kernel's choice, since nobody knows the one before."""
    try:
        hypervisor.devices.restore(address, driver="", timeout_s=RESTORE_TIMEOUT_S)
    except NotFound:
        return  # it has left the host; there is nothing to give back
