"""A GPU that was taken out of service stays there, with its reason, until somebody has seen to it.

A claim may be made in the moment in which its GPU is quarantined, or by a controller that was not told: whoever made it could
not know. Then no guest may get it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.store.protocol import ChangeType
from tests.simulation.sight import HOSTS, Guest, Sight

START_MAX_S = 120.0
"""From the last look at what is barred to a running guest; large guests take their time."""
Place = tuple[str, str]
"""Host and address of a GPU."""


@dataclass(slots=True)
class _Barred:
    """The GPUs of one host that are out of service."""

    since_s: dict[str, float] = field(default_factory=dict)
    """By address, by monotonic time."""
    losses: dict[str, int] = field(default_factory=dict)
    """By address, how often changes had been lost by then."""
    why: dict[str, str] = field(default_factory=dict)


class QuarantinedGpusStayPut:
    """Nobody claims a GPU that is quarantined or retired, and no guest gets one that became so while it was claimed."""

    name = "quarantined-gpus-stay-put"
    watches = frozenset({GPUClaim.KIND, GPUHost.KIND})

    def __init__(self) -> None:
        self._barred: dict[str, _Barred] = {}
        self._caught: dict[str, str] = {}
        """By the claim's uid: claims that were made too late to know, and why nobody may get their GPUs."""

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            resource = change.resource
            if isinstance(resource, GPUHost):
                self._note(resource, sight, is_gone=change.type is ChangeType.DELETED)
            elif isinstance(resource, GPUClaim):
                if change.type is ChangeType.ADDED and not resource.is_released:
                    yield from self._claimed(resource, sight)
                elif resource.metadata.uid in self._caught:
                    yield from self._given(resource)

    def _note(self, host: GPUHost, sight: Sight, *, is_gone: bool) -> None:
        why = {} if is_gone else out_of_service(host)
        if not why:
            self._barred.pop(host.metadata.name, None)
            return
        known = self._barred.setdefault(host.metadata.name, _Barred())
        losses = sight.universe.gate.losses
        known.since_s = {address: known.since_s.get(address, sight.now_s) for address in why}
        known.losses = {address: known.losses.get(address, losses) for address in why}
        known.why = why

    def _claimed(self, claim: GPUClaim, sight: Sight) -> Iterator[str]:
        barred, address = self._barred.get(claim.spec.host), claim.spec.address
        if barred is None or address not in barred.why:
            return
        since_s, why = barred.since_s[address], barred.why[address]
        if since_s < sight.pass_began_s and barred.losses[address] == sight.universe.gate.losses:
            for_s = sight.now_s - since_s
            yield f"{address} of {claim.spec.host}, {why} for {for_s:.0f} s, was given to {claim.spec.owner.key}"
        self._caught[claim.metadata.uid] = why

    def _given(self, claim: GPUClaim) -> Iterator[str]:
        barred, address = self._barred.get(claim.spec.host), claim.spec.address
        if barred is None or address not in barred.why or claim.is_released:
            self._caught.pop(claim.metadata.uid, None)
        elif claim.status.given_at:
            yield (
                f"{address} of {claim.spec.host}, {barred.why[address]} since before it was claimed, "
                f"is given to a guest of {claim.spec.owner.key}"
            )


class BarredGpusGoToNoGuest:
    """No guest is started with a GPU that has been out of service for longer than a start takes."""

    name = "barred-gpus-go-to-no-guest"
    watches = frozenset({HOSTS, GPUHost.KIND})

    def __init__(self) -> None:
        self._since_s: dict[str, dict[str, float]] = {}
        """By host and address, by the host's calm clock."""
        self._starts: dict[tuple[str, str], int] = {}
        """By host and domain: how often it was started, as seen last."""

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            host = change.resource
            if isinstance(host, GPUHost):
                name = host.metadata.name
                barred = {} if change.type is ChangeType.DELETED else out_of_service(host)
                before = self._since_s.pop(name, {})
                if barred:
                    self._since_s[name] = {address: before.get(address, sight.calm_s(name)) for address in barred}
        for name in sight.touched:
            for guest in sight.guests(name):
                if self._starts.get((name, guest.domain)) != guest.starts:
                    self._starts[name, guest.domain] = guest.starts
                    yield from self._started(name, guest, sight)

    def _started(self, host: str, guest: Guest, sight: Sight) -> Iterator[str]:
        barred = self._since_s.get(host, {})
        for address in guest.gpus:
            for_s = sight.calm_s(host) - barred.get(address, float("inf"))
            if for_s > START_MAX_S:
                yield f"{guest.domain} was started with {address} of {host}, which has been out of service for {for_s:.0f} s"


class QuarantineIsLiftedByACheck:
    """A GPU leaves quarantine by a check that passed, by an operator's hands, or with its host; never by itself."""

    name = "quarantine-is-lifted-by-a-check"
    watches = frozenset({GPUHost.KIND})

    def __init__(self) -> None:
        self._quarantined: dict[str, dict[str, float]] = {}
        """By host and address: since when, by the time of day."""

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            host = change.resource
            if not isinstance(host, GPUHost):
                continue
            name = host.metadata.name
            before = self._quarantined.pop(name, {})
            if change.type is ChangeType.DELETED:
                continue
            entries = {entry.address: before.get(entry.address, sight.time_s) for entry in host.status.quarantined}
            if entries:
                self._quarantined[name] = entries
            for address in before.keys() - entries.keys() if before else ():
                if not self._may_leave(host, address, since_s=before[address], sight=sight):
                    yield f"{address} of {name} left quarantine, and no check has passed since it went in"

    @staticmethod
    def _may_leave(host: GPUHost, address: str, *, since_s: float, sight: Sight) -> bool:
        if sight.universe.seen_to.get((host.metadata.name, address), -1.0) >= since_s:
            return True
        # The answer is written right after the quarantine is lifted.
        return any(check.address == address and check.state in ("Running", "Passed") for check in host.status.checks)


class QuarantineSaysWhy:
    """Every quarantine has a reason in words, a cause for programs, and a time; and a GPU has one of them."""

    name = "quarantine-says-why"
    watches = frozenset({GPUHost.KIND})

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            host = change.resource
            if not isinstance(host, GPUHost) or not host.status.quarantined:
                continue
            addresses = [entry.address for entry in host.status.quarantined]
            if len(set(addresses)) != len(addresses):
                yield f"host {host.metadata.name} has a GPU in quarantine twice: {addresses}"
            for entry in host.status.quarantined:
                if not (entry.reason and entry.cause and entry.since):
                    yield f"{entry.address} of {host.metadata.name} is in quarantine without reason, cause or time: {entry}"


def out_of_service(host: GPUHost) -> dict[str, str]:
    """The GPUs of a host that nobody may get, by address, and why in a word or two."""
    found = dict.fromkeys((*host.spec.retired, *host.status.retired), "retired")
    for entry in host.status.quarantined:
        found.setdefault(entry.address, f"quarantined ({entry.cause})")
    return found
