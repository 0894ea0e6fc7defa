"""One GPU, one owner: what runs with a GPU has its claim, nobody shares it, and no claim outlives its owner for long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.metadata import Key
from provisioner.store.protocol import ChangeType
from tests.simulation.checks.overdue import Overdue
from tests.simulation.checks.sharing import shared
from tests.simulation.sight import HOSTS, TIME, Guest, Sight

UNNOTICED_MAX_S = 700.0
"""All objects are looked at every 300 s, whatever was told or lost; a pass of another controller may come first."""
CLEANING_MAX_S = 5400.0
"""The limits of all steps of a claim's table, one after the other, with the scrub command's."""


class FunctionsHaveOneDomain:
    """No function of a host is passed to two running domains."""

    name = "one-function-one-domain"
    watches = frozenset({HOSTS})

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for host in sight.touched:
            passed = ((address, guest.domain) for guest in sight.guests(host) for address in guest.functions)
            for address, one, other in shared(passed):
                yield f"{address} of {host} is in two running domains: {one} and {other}"


class MachinesHaveOneDomain:
    """No VM runs twice: on two hosts, or in two domains of one."""

    name = "one-vm-one-domain"
    watches = frozenset({HOSTS})

    def __init__(self) -> None:
        self._where: dict[str, dict[str, tuple[str, ...]]] = {}
        """By uid and host: names of the running domains."""
        self._uids: dict[str, tuple[str, ...]] = {}
        """By host."""

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for host in sight.touched:
            guests = sight.guests(host)
            if guests or host in self._uids:
                yield from self._note(host, guests)

    def _note(self, host: str, guests: tuple[Guest, ...]) -> Iterator[str]:
        for uid in self._uids.pop(host, ()):
            self._where[uid].pop(host, None)
        if guests:
            self._uids[host] = tuple(guest.owner_uid for guest in guests if guest.owner_uid)
        for uid in self._uids.get(host, ()):
            where = self._where.setdefault(uid, {})
            where[host] = tuple(guest.domain for guest in guests if guest.owner_uid == uid)
            if sum(map(len, where.values())) > 1:
                places = [f"{domain} on {each}" for each, domains in where.items() for domain in domains]
                yield f"the VM {uid} runs more than once: {', '.join(places)}"


class RunningDomainsAreClaimed:
    """A running domain has no GPU but those that its VM has claimed, or that are out of service."""

    name = "running-domains-are-claimed"
    watches = frozenset({HOSTS, GPUClaim.KIND})

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        hosts = sorted(sight.touched | {key.name.rsplit(".", 2)[0] for key in sight.gone if key.kind == GPUClaim.KIND})
        for host in hosts:
            for guest in sight.guests(host) if sight.knows(host) else ():
                yield from self._unclaimed(host, guest, sight)

    @staticmethod
    def _unclaimed(host: str, guest: Guest, sight: Sight) -> Iterator[str]:
        for address in guest.gpus:
            claim = sight.claim_on(host, address)
            if (claim is None or claim.spec.owner.uid != guest.owner_uid) and not _is_quarantined(host, address, sight):
                owner = "of nobody" if claim is None else f"of {claim.spec.owner.key} ({claim.spec.owner.uid})"
                yield f"domain {guest.domain} ({guest.owner_uid}) runs with {address} of {host}, whose claim is {owner}"


class ClaimsShareNoFunction:
    """No function of a host is recorded by two claims: companions travel with one GPU."""

    name = "one-function-one-claim"
    watches = frozenset({GPUClaim.KIND})

    def __init__(self) -> None:
        self._claimed: dict[tuple[str, str], Key] = {}
        self._functions: dict[Key, tuple[tuple[str, str], ...]] = {}

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            claim = change.resource
            if not isinstance(claim, GPUClaim):
                continue
            for place in self._functions.pop(claim.key, ()):
                self._claimed.pop(place, None)
            if change.type is ChangeType.DELETED or not claim.status.functions:
                continue
            places = tuple((claim.spec.host, function.address) for function in claim.status.functions)
            self._functions[claim.key] = places
            for place in places:
                other = self._claimed.setdefault(place, claim.key)
                if other != claim.key:
                    yield f"{place[1]} of {place[0]} is a function of two claims: {other} and {claim.key}"


class ClaimsHaveLivingOwners:
    """A claim whose VM has gone is released before long."""

    name = "claims-have-living-owners"
    watches = frozenset({GPUClaim.KIND, "VirtualMachine", "VMInstance", TIME})

    def __init__(self) -> None:
        self._orphans: Overdue[Key] = Overdue(UNNOTICED_MAX_S)

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for claim in _news(sight):
            current = sight.find(claim.key)
            is_orphan = isinstance(current, GPUClaim) and not current.is_released and not _has_owner(current, sight)
            self._orphans.judge(claim.key, sight, is_wrong=is_orphan)
        for key, for_s in self._orphans.late(sight):
            yield f"{key} has had no owner for {for_s:.0f} s and is not released"


class ReleasedGpusComeFree:
    """A claim that was let go of ends: its GPU is free, or in quarantine."""

    name = "released-gpus-come-free"
    watches = frozenset({GPUClaim.KIND, TIME})

    def __init__(self) -> None:
        self._cleaning: Overdue[tuple[Key, str]] = Overdue(CLEANING_MAX_S)

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            claim = change.resource
            if isinstance(claim, GPUClaim):
                is_on_its_way = claim.is_released and change.type is not ChangeType.DELETED
                self._cleaning.judge((claim.key, claim.metadata.uid), sight, is_wrong=is_on_its_way, host=claim.spec.host)
        for (key, _uid), for_s in self._cleaning.late(sight):
            yield f"{key} was released {for_s:.0f} s ago, its host has answered all the time, and it is not clean yet"


def _news(sight: Sight) -> Iterable[GPUClaim]:
    """Claims that changed, and those of VMs that have gone."""
    for change in sight.changes:
        if isinstance(change.resource, GPUClaim):
            yield change.resource
        elif change.type is ChangeType.DELETED:
            yield from sight.claims_of(change.resource.metadata.uid)


def _has_owner(claim: GPUClaim, sight: Sight) -> bool:
    return sight.of_uid(claim.spec.owner.uid) is not None


def _is_quarantined(host: str, address: str, sight: Sight) -> bool:
    known = sight.gpu_host(host)
    return known is not None and any(entry.address == address for entry in known.status.quarantined)
