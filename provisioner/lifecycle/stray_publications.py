"""Withdraws what a host publishes for nobody: of a VM that was removed by force before it had a domain.

    tables on the host  -  those of published VMs that are or may come there  -  those of strangers' domains there  =  strays
                                                                                                     seen twice, then withdrawn

A table that stays would let packets in to whoever gets the guest's address next: a VM that is not published owns none, also if
one of its name was. Domains without an owner here may be another store's, and so may be what is published for them: it is
theirs as long as their domain is there.
"""

from __future__ import annotations

from collections.abc import Iterable

from provisioner.drivers.hypervisor import Domain, Hypervisor
from provisioner.lifecycle.view import View
from provisioner.model.domain_names import domain_name
from provisioner.model.errors import Unsupported
from provisioner.model.gpu_host import GPUHost
from provisioner.model.network import Publication, publication_table
from provisioner.model.virtual_machine import VirtualMachine, VMInstance

SUSPECTS_ANNOTATION = "hikube.cloud/stray-publications"
"""On a GPUHost: tables that belonged to nobody in the last pass."""
TIMEOUT_S = 30.0
_PUBLISHES = frozenset({"route", "open"})


def sweep_publications(view: View[GPUHost], hypervisor: Hypervisor, marked: Iterable[Domain]) -> tuple[str, ...]:
    """Withdraw what was a stray in the last pass already; what is one now. A host that publishes nothing is not asked.

    Raises: HostUnreachable and whatever the hypervisor says; the next pass looks again.
    """
    if not _may_publish(view.resource):
        return ()
    try:
        published = hypervisor.networks.published(timeout_s=TIMEOUT_S)
    except Unsupported:
        return ()
    strays = _strays(published, view, marked) if published else ()
    suspects = set(view.resource.metadata.annotations.get(SUSPECTS_ANNOTATION, "").split(","))
    for table in suspects.intersection(strays):
        nobodys = Publication(name=table, guest_address="", subnet="", bridge="")
        hypervisor.networks.withdraw(nobodys, timeout_s=TIMEOUT_S)
        view.tell("StrayRulesRemoved", f"table `{table}` let packets in for no VM and was removed", warning=True)
    left = tuple(table for table in strays if table not in suspects)
    _note(view, ",".join(left))
    return left


def _strays(published: Iterable[str], view: View[GPUHost], marked: Iterable[Domain]) -> tuple[str, ...]:
    everybody = [vm for kind in (VirtualMachine, VMInstance) for vm in view.ports.store.list(kind).items]
    machines = (vm for vm in everybody if vm.status.host in ("", view.resource.metadata.name) and _is_published(vm))
    known = {vm.metadata.uid for vm in everybody}
    strangers = (domain for domain in marked if domain.owner_uid not in known)
    owned = {*(domain_name(vm.key) for vm in machines), *(domain.name for domain in strangers)}
    return tuple(sorted(set(published) - set(map(publication_table, owned))))


def _is_published(vm: VirtualMachine) -> bool:
    """Whether it is, or is to be: its status says so before the host is told."""
    return vm.spec.external or vm.status.publication is not None


def _may_publish(host: GPUHost) -> bool:
    """Whether anything was ever published there, as far as its spec and its networks tell."""
    is_noted = SUSPECTS_ANNOTATION in host.metadata.annotations
    return is_noted or bool(host.spec.external_addresses) or any(each.forward in _PUBLISHES for each in host.status.networks)


def _note(view: View[GPUHost], text: str) -> None:
    """Nothing is written where nothing changes. Raises Conflict: it was written meanwhile."""
    known = view.resource.metadata.annotations
    if text != known.get(SUSPECTS_ANNOTATION, ""):
        view.resource = view.ports.store.update(view.resource.with_metadata(annotations={**known, SUSPECTS_ANNOTATION: text}))
