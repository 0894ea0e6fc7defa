"""What there is once is promised once: a host's memory and CPUs, external addresses, addresses on a host's networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import find_condition
from provisioner.model.network import Publication
from provisioner.model.sizing import guest_size
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.planning.policy import PlacementPolicy
from provisioner.store.protocol import ChangeType
from tests.simulation.checks.overdue import ORPHANED_MAX_S, Overdue
from tests.simulation.checks.readiness import MACHINES, holds
from tests.simulation.sight import HOSTS, TIME, Sight


class MemoryIsPromisedOnce:
    """The VMs that a host is chosen for, or that run there, fit into its memory and onto its CPUs together."""

    name = "memory-is-promised-once"
    watches = MACHINES | {GPUHost.KIND}

    def __init__(self) -> None:
        self._promised: dict[str, dict[str, tuple[int, int]]] = {}
        """By host and uid: MiB and vCPUs."""
        self._where: dict[str, str] = {}

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        grown: dict[str, None] = {}
        for change in sight.changes:
            resource = change.resource
            if isinstance(resource, VirtualMachine):
                self._note(resource, sight, is_gone=change.type is ChangeType.DELETED)
                grown[resource.status.host] = None
        for name in grown:
            host = sight.gpu_host(name)
            if host is not None and host.status.memory_mib:
                yield from self._too_much(host)

    def _note(self, vm: VirtualMachine, sight: Sight, *, is_gone: bool) -> None:
        uid = vm.metadata.uid
        if before := self._where.pop(uid, ""):
            self._promised[before].pop(uid, None)
        if is_gone or not vm.status.host or not holds(vm, "Scheduled"):
            return
        running = vm.status.running_spec
        scheduled = find_condition(vm.status.conditions, "Scheduled")
        if running is not None:
            size = (running.memory_mib, running.vcpus)
        elif scheduled is not None and scheduled.observed_generation == vm.metadata.generation:
            asked = guest_size(vm.spec, sight.universe.tables)
            size = (asked.memory_mib, asked.vcpus)
        else:
            return
        self._where[uid] = vm.status.host
        self._promised.setdefault(vm.status.host, {})[uid] = size

    def _too_much(self, host: GPUHost) -> Iterator[str]:
        sizes = self._promised.get(host.metadata.name, {}).values()
        memory_mib, vcpus = sum(size[0] for size in sizes), sum(size[1] for size in sizes)
        if memory_mib > host.status.memory_mib:
            yield f"host {host.metadata.name} has promised {memory_mib} MiB and has {host.status.memory_mib}"
        if vcpus > (capacity := PlacementPolicy().vcpu_capacity(host)):
            yield f"host {host.metadata.name} has promised {vcpus} vCPUs and has {capacity}"


class AddressesAreGivenOnce:
    """No two VMs have one address: neither one to be reached at from outside, nor one on a host's network."""

    name = "addresses-are-given-once"
    watches = MACHINES

    def __init__(self) -> None:
        self._holders: dict[tuple[str, str, str], dict[str, str]] = {}
        """By host, network and address (external ones: of no host): the uids and names of who has it."""
        self._held: dict[str, tuple[tuple[str, str, str], ...]] = {}

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            vm = change.resource
            if not isinstance(vm, VirtualMachine):
                continue
            uid, addresses = vm.metadata.uid, () if change.type is ChangeType.DELETED else _addresses(vm)
            before = self._held.pop(uid, ())
            for address in before:
                self._holders[address].pop(uid, None)
            if addresses:
                self._held[uid] = addresses
            for address in addresses:
                holders = self._holders.setdefault(address, {})
                holders[uid] = str(vm.key)
                if len(holders) > 1 and address not in before:
                    where = f" on {address[1]} of {address[0]}" if address[0] else ""
                    yield f"{address[2]}{where} is the address of {' and of '.join(sorted(holders.values()))}"


class PublicationsShareNoAddress:
    """An external address leads to one guest, but for the time until a guest that nobody owns any more is found."""

    name = "one-address-one-guest"
    watches = frozenset({HOSTS, TIME})

    def __init__(self) -> None:
        self._published: dict[str, dict[str, tuple[str, ...]]] = {}
        """By address and host: the tables."""
        self._addresses: dict[str, tuple[str, ...]] = {}
        """By host."""
        self._shared: Overdue[tuple[str, str]] = Overdue(ORPHANED_MAX_S)
        """By address and host, since any of the hosts may be the one that has to be asked, and away."""

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for host in sight.touched:
            publications = sight.state(host).wires.publications
            if publications or host in self._addresses:
                self._note(host, publications, sight)
        late = {key for key, _ in self._shared.late(sight)}
        for address in sorted({address for address, _ in late}):
            hosts = self._published[address]
            if all((address, host) in late for host in hosts):
                places = [f"{table} on {host}" for host, tables in hosts.items() for table in tables]
                yield f"{address} leads to {len(places)} guests for more than {self._shared.limit_s:.0f} s: {', '.join(places)}"

    def _note(self, host: str, publications: Mapping[str, Publication], sight: Sight) -> None:
        tables: dict[str, list[str]] = {}
        for table, publication in publications.items():
            if publication.external_address:
                tables.setdefault(publication.external_address, []).append(table)
        changed = (*self._addresses.pop(host, ()), *tables)
        if tables:
            self._addresses[host] = tuple(tables)
        for address in changed:
            known = self._published.setdefault(address, {})
            known.pop(host, None)
            if address in tables:
                known[host] = tuple(tables[address])
            is_shared = sum(map(len, known.values())) > 1
            for each in {host, *known}:
                self._shared.judge((address, each), sight, is_wrong=is_shared and each in known, host=each)


def _addresses(vm: VirtualMachine) -> tuple[tuple[str, str, str], ...]:
    """Everything that is kept for this VM alone."""
    external = (("", "", vm.status.external_address),) if vm.status.external_address else ()
    return (*external, *((vm.status.host, kept.network, kept.address) for kept in vm.status.kept_addresses if vm.status.host))
