"""What is there when every VM and disk is deleted: nothing. Looked for on the hosts themselves, and in the store."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.model import domain_names
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Key
from provisioner.model.secret import Secret
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from provisioner.model.vm_disk import VMDisk
from tests.simulation.checks.coming_right import Hope, strangers
from tests.simulation.sight import Sight

INTERFACES_MAX = 4
VFIO = "vfio-pci"
Drivers = dict[tuple[str, str], str]
"""By host and address."""


class Forsaken:
    """What nobody can find any more: of VMs that were removed by force.

    Volumes of a VM that was removed by force may hold data, and what a network keeps tells nobody whose it was.
    """

    def __init__(self, sight: Sight) -> None:
        forced = [sight.named(uid) for uid in sorted(sight.universe.removed_by_force)]
        self.names = frozenset(domain_names.domain_name(key) for key in forced if key is not None)
        self.macs = frozenset(
            domain_names.mac_address(uid, index=index)
            for uid in sight.universe.removed_by_force
            for index in range(INTERFACES_MAX)
        )

    def is_volume(self, volume: str) -> bool:
        """Whether that volume was one's disk, seed or console log."""
        stem = volume.removeprefix(domain_names.CONSOLE_PREFIX)
        return any(stem.startswith((f"{name}-", f"{name}.log")) for name in self.names)


class DeletionEnds:
    """Whatever was deleted goes."""

    name = "deletion-ends"

    def wrong(self, sight: Sight) -> Iterator[str]:
        """See Hope."""
        for each in (*sight.machines(), *sight.all(VMDisk), *sight.all(GPUClaim)):
            said = [f"{known.type}={known.status} {known.reason} {known.message}" for known in each.status.conditions]
            yield f"{each.key} is still there: {'; '.join(said)}"


class HostsAreEmpty:
    """No host has a domain, a volume, a reservation, a filter or a publication of ours."""

    name = "nothing-is-left"

    def wrong(self, sight: Sight) -> Iterator[str]:
        """See Hope."""
        forsaken = Forsaken(sight)
        for handle in sight.universe.fleet.hosts:
            known, state = sight.gpu_host(handle.name), sight.state(handle.name)
            strange = strangers(known, sight)
            marked = [record.config for record in state.domains.values() if record.config.owner_uid]
            left = [config.name for config in marked if config.uuid not in strange]
            used = {disk.path for record in state.domains.values() for disk in record.config.disks}
            left += [
                volume.name
                for pool in state.pools.values()
                for volume in pool.volumes.values()
                if _is_ours(volume.name) and volume.path not in used and not forsaken.is_volume(volume.name)
            ]
            reservations = (each for kept in state.wires.reservations.values() for each in kept)
            left += [f"{each.address} for {each.mac_address}" for each in reservations if each.mac_address not in forsaken.macs]
            left += [f"filter {name}" for name in state.wires.filters if name not in forsaken.names]
            there = {record.config.name for record in state.domains.values()}
            left += [f"publication of {each.name}" for each in state.wires.publications.values() if each.name not in there]
            if left:
                yield f"on {handle.name} there is still {', '.join(left)}"


class SecretsAreGone:
    """No Secret of a VM that is gone is kept."""

    name = "secrets-go-with-their-vms"

    def wrong(self, sight: Sight) -> Iterator[str]:
        """See Hope."""
        for secret in sight.all(Secret):
            owners = secret.metadata.owner_references
            gone = [owner for owner in owners if sight.of_uid(owner.uid) is None]
            if gone and len(gone) == len(owners) and not sight.universe.removed_by_force & {owner.uid for owner in gone}:
                yield f"{secret.key} is still there, and {owners[0].kind} {owners[0].name} is not"


class DriversAreAsAtFirst:
    """Every function of every host is on the driver that it was on before anything happened."""

    name = "drivers-are-as-at-first"

    def __init__(self, drivers: Drivers) -> None:
        self._drivers = drivers

    def wrong(self, sight: Sight) -> Iterator[str]:
        """See Hope."""
        for (host, address), driver in self._drivers.items():
            state = sight.state(host)
            function = state.functions[address]
            is_kept = host in sight.kept_on_vfio and function.driver == VFIO
            if function.is_present and function.driver != driver and not is_kept and not _is_strangers(host, address, sight):
                yield f"{address} of {host} is on {function.driver or 'no driver'}, and was on {driver or 'no driver'} at first"


class HostsGo:
    """A host without users can be removed."""

    name = "hosts-can-be-removed"

    def wrong(self, sight: Sight) -> Iterator[str]:
        """See Hope."""
        for host in sight.all(GPUHost):
            said = [f"{known.type}={known.status} {known.reason} {known.message}" for known in host.status.conditions]
            yield f"{host.key} has no users and does not go: {'; '.join(said)}"


def nothing_left(drivers: Drivers) -> tuple[Hope, ...]:
    """What must be so once everything is deleted."""
    return (HostsAreEmpty(), SecretsAreGone(), DriversAreAsAtFirst(drivers))


def drivers_now(sight: Sight) -> Drivers:
    """Of every function of every host."""
    return {
        (handle.name, function.address): function.driver
        for handle in sight.universe.fleet.hosts
        for function in sight.state(handle.name).functions.values()
    }


KINDS = (VirtualMachine, VMInstance, VMDisk)
"""What users make."""


def users_keys(sight: Sight) -> tuple[Key, ...]:
    """Of everything that users made."""
    return tuple(sorted(each.key for kind in KINDS for each in sight.all(kind)))


def _is_ours(volume: str) -> bool:
    return volume.startswith(domain_names.PREFIX) and not volume.startswith(domain_names.BASE_PREFIX)


def _is_strangers(host: str, address: str, sight: Sight) -> bool:
    """Whether a domain has it that was there before the host was added."""
    strange = strangers(sight.gpu_host(host), sight)
    slot = address.rsplit(".", 1)[0]
    return any(
        record.config.uuid in strange and any(device.host_address.startswith(slot) for device in record.config.devices)
        for record in sight.state(host).domains.values()
    )
