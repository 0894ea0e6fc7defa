"""What is a tenant's alone: its disks stay what they are, its running VM is not ended, nobody keeps its keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from provisioner.drivers.simulated.state import HostState, VolumeState
from provisioner.lifecycle.virtual_machine import access
from provisioner.lifecycle.virtual_machine.goal import Goal, goal
from provisioner.model import domain_names
from provisioner.model.metadata import Key
from provisioner.model.secret import Secret
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.model.vm_disk import VMDisk
from provisioner.store.protocol import ChangeType
from tests.simulation.checks.readiness import MACHINES, holds
from tests.simulation.checks.sharing import shared
from tests.simulation.sight import HOSTS, Sight

PRIVATE = (access.HOST_PRIVATE, access.CONTROLLER_PRIVATE)


@dataclass(frozen=True, slots=True)
class _Disk:
    whose: str
    host: str
    pool: str
    volume: str
    first: VolumeState
    """As it was when it was first seen; the same object for as long as nobody makes it anew."""


class DisksStayWhatTheyAre:
    """The volume that a tenant's data is on is neither deleted nor made anew while its VM or VMDisk is there."""

    name = "disks-stay-what-they-are"
    watches = MACHINES | {VMDisk.KIND, HOSTS}

    def __init__(self) -> None:
        self._disks: dict[str, dict[str, _Disk]] = {}
        """By host and uid."""
        self._hosts: dict[str, str] = {}

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            resource = change.resource
            if isinstance(resource, VirtualMachine | VMDisk):
                is_gone = change.type is ChangeType.DELETED or resource.is_being_deleted
                place = None if is_gone else _place(resource)
                self._note(resource, place, sight)
        for host in sight.touched:
            for disk in self._disks.get(host, {}).values():
                now = _volume(sight.state(host), disk.pool, disk.volume)
                if now is not disk.first:
                    what = "is not there any more" if now is None else "is another one than it was"
                    yield f"volume {disk.volume} of pool {disk.pool} on {host}, with the data of {disk.whose}, {what}"

    def _note(self, resource: VirtualMachine | VMDisk, place: tuple[str, str, str] | None, sight: Sight) -> None:
        uid = resource.metadata.uid
        before = self._hosts.get(uid, "")
        known = self._disks.get(before, {}).get(uid)
        if known is not None and place == (known.host, known.pool, known.volume):
            return
        if known is not None:
            del self._disks[before][uid], self._hosts[uid]
        if place is None:
            return
        host, pool, volume = place
        first = _volume(sight.state(host), pool, volume)
        if first is not None:
            self._disks.setdefault(host, {})[uid] = _Disk(str(resource.key), host, pool, volume, first)
            self._hosts[uid] = host


class VolumesHaveOneGuest:
    """No volume is written to by two running guests, nor by one that does not have it."""

    name = "one-volume-one-guest"
    watches = frozenset({HOSTS})

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for host in sight.touched:
            written = ((volume, guest.domain) for guest in sight.guests(host) for volume in guest.volumes)
            for volume, one, other in shared(written):
                yield f"{volume} of {host} is written to by two guests: {one} and {other}"


class NobodyStopsWhatShallRun:
    """No controller ends the domain of a VM that is Ready and shall be up."""

    name = "nobody-stops-what-shall-run"
    watches = frozenset({HOSTS})

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check. Whoever stops a VM writes first that it is not Ready any more."""
        for host, call, domain in sight.stops:
            for vm in sight.machines():
                is_its = vm.status.host == host and domain_names.domain_name(vm.key) == domain
                if is_its and holds(vm, "Ready") and goal(vm) is Goal.UP:
                    yield f"{call} of {domain} on {host}, although {vm.key} is Ready and shall be up"


class StrangersAreLeftAlone:
    """No controller touches a domain that was there before its host was added, though it bears our mark."""

    name = "strangers-are-left-alone"
    watches = frozenset({HOSTS})

    def __init__(self) -> None:
        self._strange: dict[str, frozenset[str]] = {}
        """By host: names of the domains; strangers are there from the beginning."""

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for host, call, domain in sight.stops:
            if domain in self._strange.get(host, ()):
                yield f"{call} of {domain} on {host}, which was there before the host was added"
        for host in sight.touched if sight.universe.strangers else ():
            domains = sight.state(host).domains
            if host not in self._strange:
                found = [name for name, record in domains.items() if record.config.uuid in sight.universe.strangers]
                self._strange[host] = frozenset(found)
            for name in sorted(self._strange[host]):
                if name not in domains:
                    yield f"domain {name}, which was on {host} before it was added, is gone"


class KeysAreForgotten:
    """Nobody keeps a private key of a VM that is Ready."""

    name = "keys-are-forgotten"
    watches = MACHINES | {Secret.KIND}

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        uids: dict[str, None] = {}
        for change in sight.changes:
            resource = change.resource
            if isinstance(resource, Secret):
                uids.update((owner.uid, None) for owner in resource.metadata.owner_references)
            elif isinstance(resource, VirtualMachine):
                uids[resource.metadata.uid] = None
        for uid in uids:
            vm = sight.of_uid(uid)
            if isinstance(vm, VirtualMachine) and holds(vm, "Ready"):
                name = access.secret_name(vm.metadata.name, kind=vm.kind)
                secret = sight.find(Key(Secret.KIND, vm.metadata.namespace, name))
                private = [each for each in PRIVATE if secret is not None and each in secret.spec.data]
                if private:
                    yield f"{vm.key} is Ready, and its Secret still has {', '.join(private)}"


def _place(resource: VirtualMachine | VMDisk) -> tuple[str, str, str] | None:
    """Host, pool and volume of a disk with data on it."""
    if isinstance(resource, VMDisk):
        disk = resource.status
        return (disk.host, disk.pool, disk.volume) if disk.phase == "Ready" and disk.volume else None
    vm = resource.status
    has_data = bool(vm.first_ready and vm.host and vm.system_volume) and resource.spec.system_disk is not None
    return (vm.host, vm.system_pool, vm.system_volume) if has_data else None


def _volume(state: HostState, pool: str, volume: str) -> VolumeState | None:
    found = state.pools.get(pool)
    return found.volumes.get(volume) if found is not None else None
