"""What is deleted leaves nothing: looked for on every host in the moment in which the object disappears from the store."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.drivers.simulated.state import HostState
from provisioner.model import domain_names
from provisioner.model.metadata import Key
from provisioner.model.network import publication_table
from provisioner.model.secret import Secret
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.model.vm_disk import VMDisk
from provisioner.store.protocol import ChangeType
from tests.simulation.checks.coming_right import strangers
from tests.simulation.checks.overdue import ORPHANED_MAX_S, Overdue
from tests.simulation.checks.readiness import MACHINES
from tests.simulation.sight import HOSTS, TIME, Sight

INTERFACES_MAX = 4


class DeletedMachinesLeaveNothing:
    """A VM that is gone has no domain, disk, seed, address, filter, publication or claim anywhere."""

    name = "deleted-vms-leave-nothing"
    watches = MACHINES

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            vm = change.resource
            if change.type is not ChangeType.DELETED or not isinstance(vm, VirtualMachine):
                continue
            is_excused = vm.metadata.uid in sight.universe.removed_by_force or sight.find(vm.key) is not None
            is_left_behind = bool(vm.status.host) and sight.gpu_host(vm.status.host) is None
            if not is_excused and not is_left_behind:
                yield from self._left(vm, sight)

    @staticmethod
    def _left(vm: VirtualMachine, sight: Sight) -> Iterator[str]:
        kept = {(disk.status.host, disk.status.volume) for disk in sight.all(VMDisk)}
        is_name_known = vm.key in {sight.named(uid) for uid in sight.universe.removed_by_force}
        for handle in sight.universe.fleet.hosts:
            state = sight.state(handle.name)
            named = () if is_name_known else _named_traces(vm.key, vm.metadata.uid, state)  # an earlier one's may be there
            left = [what for what in (*_own_traces(vm.metadata.uid, state), *named) if (handle.name, what) not in kept]
            if left:
                yield f"{vm.key} is gone, and on {handle.name} there is still {', '.join(left)}"
        if claims := [claim for claim in sight.claims_of(vm.metadata.uid) if not claim.is_released]:
            yield f"{vm.key} is gone, and {', '.join(str(claim.key) for claim in claims)} is still its own"


class DeletedDisksLeaveNothing:
    """A VMDisk that is gone has no volume."""

    name = "deleted-disks-leave-nothing"
    watches = frozenset({VMDisk.KIND})

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            disk = change.resource
            if change.type is not ChangeType.DELETED or not isinstance(disk, VMDisk) or sight.find(disk.key) is not None:
                continue
            if not disk.status.host or not disk.status.volume or sight.gpu_host(disk.status.host) is None:
                continue
            for pool in sight.state(disk.status.host).pools.values():
                if disk.status.volume in pool.volumes:
                    yield f"{disk.key} is gone, and {disk.status.volume} is still in pool {pool.name} of {disk.status.host}"


class SecretsGoWithTheirMachines:
    """No Secret is there whose VM is gone: nobody would ever delete it."""

    name = "secrets-go-with-their-vms"
    watches = MACHINES | {Secret.KIND}

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            resource = change.resource
            if isinstance(resource, Secret) and change.type is not ChangeType.DELETED:
                for owner in resource.metadata.owner_references:
                    is_excused = owner.uid in sight.universe.removed_by_force  # a pass over it may be in the middle of a call
                    if sight.of_uid(owner.uid) is None and sight.find(resource.key) is not None and not is_excused:
                        yield f"{resource.key} was written for {owner.kind} {owner.name} ({owner.uid}), who is gone"


class OrphansGoHome:
    """A domain without an owner, and what is published for nobody, is gone before long."""

    name = "orphans-go-home"
    watches = MACHINES | {HOSTS, TIME}

    def __init__(self) -> None:
        self._orphans: Overdue[tuple[str, str]] = Overdue(ORPHANED_MAX_S)
        """By host, and name of domain or table."""
        self._suspects: set[str] = set()

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        hosts = set(sight.touched)
        for change in sight.changes:
            if change.type is ChangeType.DELETED and isinstance(change.resource, VirtualMachine):
                hosts |= {host.name for host in sight.universe.fleet.hosts}
        for host in hosts:
            self._judge(host, sight)
        for (host, what), for_s in self._orphans.late(sight):
            yield f"{what} on {host} has had no owner for {for_s:.0f} s"

    def _judge(self, host: str, sight: Sight) -> None:
        there = dict.fromkeys(_ownerless(host, sight)) if sight.gpu_host(host) is not None else {}
        for case in self._orphans.cases():
            if case[0] == host and case[1] not in there:
                self._orphans.close(case)
        for what in there:
            self._orphans.open((host, what), sight, host=host)


def _ownerless(host: str, sight: Sight) -> Iterator[str]:
    known, state = sight.gpu_host(host), sight.state(host)
    strange = strangers(known, sight)
    for name, record in state.domains.items():
        uid = record.config.owner_uid
        if uid and sight.of_uid(uid) is None and record.config.uuid not in strange:
            yield f"domain {name} ({record.config.uuid})"
    if state.wires.publications and not state.inside.why_not:
        owned = {domain_names.domain_name(vm.key) for vm in sight.machines() if vm.status.host == host} | state.domains.keys()
        yield from (f"publication {each.name}" for each in state.wires.publications.values() if each.name not in owned)


def _own_traces(uid: str, state: HostState) -> Iterator[str]:
    """What on a host bears the uid of that VM."""
    yield from (f"domain {domain}" for domain, record in state.domains.items() if record.config.owner_uid == uid)
    macs = {domain_names.mac_address(uid, index=index) for index in range(INTERFACES_MAX)}
    for network, kept in state.wires.reservations.items():
        yield from (f"the reservation of {each.address} on {network}" for each in kept if each.mac_address in macs)


def _named_traces(key: Key, uid: str, state: HostState) -> Iterator[str]:
    """What on a host bears the name of that VM."""
    name = domain_names.domain_name(key)
    yield from (volume for volume in _volumes(key, uid) for pool in state.pools.values() if volume in pool.volumes)
    yield from (f"filter {each}" for each in state.wires.filters if each == name)
    published = () if state.inside.why_not else state.wires.publications  # without a shell nobody can take it back yet
    yield from (f"what was published for {name}" for table in published if table == publication_table(name))


def _volumes(key: Key, uid: str) -> tuple[str, ...]:
    name = domain_names.domain_name(key)
    own = (domain_names.system_volume(name), domain_names.system_volume(name, uid=uid))
    return (*own, domain_names.seed_volume(name), domain_names.console_log_volume(name))
