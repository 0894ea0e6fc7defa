"""Where everything must be once trouble has stopped, and stay: VMs up, or saying truly why not; nothing without an owner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from provisioner.lifecycle.fleet import snapshot
from provisioner.lifecycle.orphans import STRANGERS_ANNOTATION
from provisioner.lifecycle.virtual_machine.attachments import disks_obstacle
from provisioner.lifecycle.virtual_machine.goal import Goal, goal
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model import domain_names
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Resource, find_condition
from provisioner.model.network import publication_table
from provisioner.model.virtual_machine import Phase, VirtualMachine
from provisioner.model.vm_disk import VMDisk
from provisioner.planning.placement import Placement, place
from provisioner.planning.requests import request_for
from tests.simulation.checks.readiness import holds
from tests.simulation.sight import Sight


class Hope(Protocol):
    """Something that comes true, and stays so, when nothing is in the way."""

    name: str

    def wrong(self, sight: Sight) -> Iterator[str]:
        """What is not so yet."""
        ...


class MachinesAreWhereTheyBelong:
    """Every VM that can run is Ready; every stopped one is Stopped; every deleted one is gone."""

    name = "machines-come-right"

    def wrong(self, sight: Sight) -> Iterator[str]:
        """See Hope."""
        for vm in sight.machines():
            if not (is_up(vm) or _is_down(vm) or _waits(vm)):
                yield f"{vm.key} is {vm.status.phase}{' and is being deleted' if vm.is_being_deleted else ''}: {said(vm)}"


class WaitingMachinesSayTheTruth:
    """A VM that waits could not run: there is no host that would take it now, or a disk of it is not to be had."""

    name = "waiting-machines-say-the-truth"

    def wrong(self, sight: Sight) -> Iterator[str]:
        """See Hope."""
        for vm in sight.machines():
            if not _waits(vm) or is_up(vm) or _is_down(vm):
                continue
            scheduled = find_condition(vm.status.conditions, "Scheduled")
            if scheduled is None or not (scheduled.reason and scheduled.message):
                yield f"{vm.key} waits and does not say for what: {said(vm)}"
            elif found := _host_for(vm, sight):
                yield f"{vm.key} waits, and {found} would take it: {said(vm)}"


class ClaimsHaveOwners:
    """Every claim has an owner that has not let go of it: what was let go of is clean and free."""

    name = "claims-get-home"

    def wrong(self, sight: Sight) -> Iterator[str]:
        """See Hope."""
        for claim in sight.all(GPUClaim):
            if claim.is_released or sight.of_uid(claim.spec.owner.uid) is None:
                conditions = [f"{known.type}={known.status} {known.message}" for known in claim.status.conditions]
                yield f"{claim.key}, of {claim.spec.owner.key}, released {claim.status.released_at or 'never'}: {conditions}"


class DomainsHaveOwners:
    """A domain with our mark is where its VM is, but for those that were there before their host was added."""

    name = "orphan-domains-get-home"

    def wrong(self, sight: Sight) -> Iterator[str]:
        """See Hope."""
        for host in sight.all(GPUHost):
            for record in sight.state(host.metadata.name).domains.values():
                uid = record.config.owner_uid
                vm = sight.of_uid(uid)
                if uid and vm is None and record.config.uuid not in strangers(host, sight):
                    yield f"domain {record.config.name} of {uid}, who is gone, is still on {host.metadata.name}"
                elif isinstance(vm, VirtualMachine) and vm.status.host != host.metadata.name:
                    where = f"on {host.metadata.name}, and the VM on {vm.status.host or 'none'}"
                    yield f"domain {record.config.name} of {vm.key} is {where}"


class PublicationsHaveOwners:
    """What a host lets in, it lets in for a VM that is there, or for a domain that is."""

    name = "stray-publications-get-home"

    def wrong(self, sight: Sight) -> Iterator[str]:
        """See Hope."""
        for host in sight.all(GPUHost):
            name, state = host.metadata.name, sight.state(host.metadata.name)
            here = [vm.key for vm in sight.machines() if vm.status.host == name]
            owned = {publication_table(domain_names.domain_name(key)) for key in here}
            there = {publication_table(name) for name, record in state.domains.items() if record.config.owner_uid}
            for table, publication in state.wires.publications.items():
                if table not in owned | there:
                    yield f"{name} lets packets in for {publication.name}, who is gone"


class GpusAreHome:
    """A GPU that nobody owns and that may be handed out is on the host's own driver."""

    name = "stray-gpus-get-home"

    def wrong(self, sight: Sight) -> Iterator[str]:
        """See Hope."""
        for host in sight.all(GPUHost):
            name, state = host.metadata.name, sight.state(host.metadata.name)
            barred = {entry.address for entry in host.status.quarantined} | {*host.spec.retired, *host.status.retired}
            for gpu in host.status.gpus if not host.spec.keep_on_vfio else ():
                function = state.functions[gpu.address]
                is_ours = gpu.at_home_boot_id == state.boot_id  # else it may be an operator's choice, and is only told of
                is_free = gpu.address not in barred and sight.claim_on(name, gpu.address) is None
                if is_free and is_ours and function.driver == "vfio-pci" and not state.user_of(gpu.address):
                    yield f"{gpu.address} of {name} is on vfio-pci, and nobody has claimed it"


class HostsAreReady:
    """Every host is Ready, and what is written of it is of its spec as it is."""

    name = "hosts-come-right"

    def wrong(self, sight: Sight) -> Iterator[str]:
        """See Hope."""
        for host in sight.all(GPUHost):
            if host.is_being_deleted:
                continue  # it waits for whoever uses it, and says so
            if not holds(host, "Ready") or host.status.observed_generation != host.metadata.generation:
                yield f"{host.key} is not Ready for generation {host.metadata.generation}: {said(host)}"


class DisksAreWhereTheyBelong:
    """Every VMDisk that somebody uses is Ready; every deleted one that nobody uses is gone."""

    name = "disks-come-right"

    def wrong(self, sight: Sight) -> Iterator[str]:
        """See Hope."""
        users = {(vm.metadata.namespace, disk.name): vm for vm in sight.machines() for disk in vm.spec.disks}
        for disk in sight.all(VMDisk):
            user = users.get((disk.metadata.namespace, disk.metadata.name))
            if disk.is_being_deleted and user is None and not disk.status.used_by:
                yield f"{disk.key} is to be deleted, is used by nobody, and is there: {said(disk)}"
            elif disk.status.phase == "Failed" and disk.status.observed_generation != disk.metadata.generation:
                yield f"{disk.key} has failed and was changed since: {said(disk)}"


def coming_right() -> tuple[Hope, ...]:
    """All of them, the cheap ones first."""
    return (
        MachinesAreWhereTheyBelong(),
        HostsAreReady(),
        DisksAreWhereTheyBelong(),
        ClaimsHaveOwners(),
        DomainsHaveOwners(),
        PublicationsHaveOwners(),
        GpusAreHome(),
        WaitingMachinesSayTheTruth(),
    )


def strangers(host: GPUHost | None, sight: Sight) -> frozenset[str]:
    """UUIDs of the domains that were there before the host was added, in truth or as far as this store knows."""
    noted = host.metadata.annotations.get(STRANGERS_ANNOTATION, "") if host is not None else ""
    return frozenset(noted.split(",")) | sight.universe.strangers


def is_up(vm: VirtualMachine) -> bool:
    """Whether it is Ready, as wanted."""
    return not vm.is_being_deleted and goal(vm) is Goal.UP and holds(vm, "Ready") and vm.status.phase is Phase.READY


def _is_down(vm: VirtualMachine) -> bool:
    return not vm.is_being_deleted and goal(vm) is Goal.DOWN and vm.status.phase is Phase.STOPPED


def _waits(vm: VirtualMachine) -> bool:
    return not vm.is_being_deleted and goal(vm) is Goal.UP and vm.status.phase is Phase.PENDING and not vm.status.unwinding


def _host_for(vm: VirtualMachine, sight: Sight) -> str:
    """The host that would take it now; empty: none, or its disks are not to be had."""
    ports = sight.universe.session()
    view = VirtualMachineView(vm, ports)
    if disks_obstacle(view) is not None:
        return ""
    request = request_for(vm, size=view.size, tables=ports.tables, vm_disks=view.disks, firmware=view.firmware)
    decision = place(request, snapshot(ports.store, ports.tables))
    return f"host {decision.sentence()}" if isinstance(decision, Placement) else ""


def said(resource: Resource) -> str:
    """Every condition of it, in words."""
    words = [f"{known.type}={known.status} {known.reason} {known.message}".strip() for known in resource.status.conditions]
    return "; ".join(words) or "no condition"
