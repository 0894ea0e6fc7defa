"""What is done to a GPU between two tenants, seen on the host itself and not in what the claim says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from provisioner.drivers.simulated.function_state import FunctionState
from provisioner.drivers.simulated.state import HostState
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost, ResetPolicy
from provisioner.store.protocol import ChangeType
from tests.simulation.checks.quarantine import Place, out_of_service
from tests.simulation.sight import HOSTS, Guest, Sight

VFIO = "vfio-pci"
ROUNDING_S = 0.001
"""Between the two clocks of the world, of which one has far larger numbers."""


@dataclass(frozen=True, slots=True)
class _Use:
    """Who ran with a GPU last, and when that was last seen, by the time of day."""

    uid: str
    domain: str
    until_s: float


class Uses:
    """Who ran with each GPU last."""

    def __init__(self) -> None:
        self._last: dict[Place, _Use] = {}

    def last(self, place: Place) -> _Use | None:
        """None: nobody yet."""
        return self._last.get(place)

    def note(self, place: Place, guest: Guest, *, time_s: float) -> _Use | None:
        """It runs now; returns who ran before, if that was somebody else."""
        before = self._last.get(place)
        self._last[place] = _Use(guest.owner_uid, guest.domain, time_s)
        return before if before is not None and before.uid != guest.owner_uid else None


class Settings:
    """Until when hosts had settings that ask for less: what was done under them is judged by them."""

    def __init__(self) -> None:
        self._lax: set[str] = set()
        self._kept: set[str] = set()
        self._lax_until_s: dict[str, float] = {}
        self._kept_until_s: dict[str, float] = {}
        self._closed: set[str] = set()
        self._closed_until_s: dict[str, float] = {}

    def note(self, sight: Sight) -> None:
        """Take in what changed. Idempotent."""
        for name in sight.touched:
            is_closed = bool(sight.state(name).inside.why_not)
            _follow(name, is_closed, now=self._closed, until_s=self._closed_until_s, time_s=sight.time_s)
        for change in sight.changes:
            host = change.resource
            if isinstance(host, GPUHost):
                is_lax = host.spec.reset_policy is not ResetPolicy.REQUIRED
                _follow(host.metadata.name, is_lax, now=self._lax, until_s=self._lax_until_s, time_s=sight.time_s)
                is_kept = host.spec.keep_on_vfio
                _follow(host.metadata.name, is_kept, now=self._kept, until_s=self._kept_until_s, time_s=sight.time_s)

    def was_lax(self, host: str, *, since_s: float) -> bool:
        """Whether cleaning could not, or did not have to, be shown at some moment since that time of day.

        Without a shell nobody can reset a GPU, and it is left to vfio-pci, which does it when the GPU is opened and closed.
        """
        is_so = host in self._lax or host in self._closed
        return is_so or max(self._lax_until_s.get(host, -1.0), self._closed_until_s.get(host, -1.0)) >= since_s

    def kept_on_vfio(self, host: str, *, since_s: float) -> bool:
        """Whether GPUs of nobody stayed on vfio-pci at some moment since that time of day."""
        return host in self._kept or self._kept_until_s.get(host, -1.0) >= since_s

    @property
    def ever_kept_on_vfio(self) -> frozenset[str]:
        """Hosts of which GPUs may have stayed on vfio-pci at any time."""
        return frozenset(self._kept | self._kept_until_s.keys())


class GpusAreResetBetweenTenants:
    """A GPU that one VM ran with was reset before another VM runs with it."""

    name = "gpus-are-reset-between-tenants"
    watches = frozenset({HOSTS, GPUHost.KIND})

    def __init__(self, uses: Uses, settings: Settings) -> None:
        self._uses, self._settings = uses, settings

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check. The first of those that share `uses` and `settings`: it keeps them."""
        self._settings.note(sight)
        for host in sight.touched:
            for guest in sight.guests(host):
                for address in guest.gpus:
                    before = self._uses.note((host, address), guest, time_s=sight.time_s)
                    if before is not None and not self._settings.was_lax(host, since_s=before.until_s):
                        yield from self._dirty(host, address, guest, before=before, sight=sight)

    @staticmethod
    def _dirty(host: str, address: str, guest: Guest, *, before: _Use, sight: Sight) -> Iterator[str]:
        if sight.universe.seen_to.get((host, address), -1.0) >= before.until_s:
            return
        if not was_reset(sight.state(host).functions[address], since_s=before.until_s):
            yield f"GPU {address} of {host} went from {before.domain} ({before.uid}) to {guest.domain} without a reset"


class FreedGpusAreClean:
    """When a claim ends that a guest had, its GPU was reset, scrubbed if that is asked for, and looked at; or it is barred."""

    name = "freed-gpus-are-clean"
    watches = frozenset({GPUClaim.KIND})

    def __init__(self, uses: Uses, settings: Settings) -> None:
        self._uses, self._settings = uses, settings
        self._given_s: dict[str, float] = {}
        """By the claim's uid: the last time of day at which it was not seen yet that a guest may have its GPU."""
        self._scrub: dict[str, str] = {}
        """By the claim's uid: the host's command when it was let go."""
        self._looked_s = 0.0
        """The time of day of the last look."""

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            claim = change.resource
            if not isinstance(claim, GPUClaim):
                continue
            if change.type is ChangeType.DELETED:
                yield from self._dirty(claim, sight)
            elif claim.was_given:
                self._given_s.setdefault(claim.metadata.uid, self._looked_s)
                host = sight.gpu_host(claim.spec.host)
                if claim.is_released and host is not None:
                    self._scrub.setdefault(claim.metadata.uid, host.spec.scrub_command)
        self._looked_s = sight.time_s

    def _dirty(self, claim: GPUClaim, sight: Sight) -> Iterator[str]:
        name, address, uid = claim.spec.host, claim.spec.address, claim.metadata.uid
        given_s, scrub = self._given_s.pop(uid, 0.0), self._scrub.pop(uid, "")  # 0.0: made and gone between two looks
        host = sight.gpu_host(name)
        use = self._uses.last((name, address))
        is_taken_anew = sight.find(claim.key) is not None  # the use that was seen last is then of another claim, or may be
        is_of_this_claim = use is not None and use.uid == claim.spec.owner.uid and not is_taken_anew
        since_s = use.until_s if use is not None and is_of_this_claim else given_s
        if not claim.was_given or host is None or address in out_of_service(host):
            return
        if self._settings.was_lax(name, since_s=since_s):
            return
        state, whose = sight.state(name), f"GPU {address} of {name}, which {claim.spec.owner.key} had,"
        if not was_reset(state.functions[address], since_s=since_s):
            yield f"{whose} is free and was not reset since"
        elif scrub and host.spec.scrub_command == scrub and not _was_scrubbed(state, address, since_s=since_s):
            yield f"{whose} is free and `{scrub}` has not ended well for it since"
        elif not _was_looked_at(name, address, sight):
            yield f"{whose} is free and nobody looked at it after its reset"


class FreedDriversAreRestored:
    """When a claim ends, every function of its GPU is on the driver of before, unless the GPU is barred or kept on vfio-pci.

    While two controllers are at work, the one that lost its lease may bind once more what the other has just given back:
    nothing fences a call that is on its way to a host. That such a GPU gets home in the end is liveness.
    """

    name = "freed-drivers-are-restored"
    watches = frozenset({GPUClaim.KIND})

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._released_s: dict[str, float] = {}
        """By the claim's uid: when it was first seen released, by the time of day."""

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            claim = change.resource
            if not isinstance(claim, GPUClaim):
                continue
            if change.type is not ChangeType.DELETED:
                if claim.is_released:
                    self._released_s.setdefault(claim.metadata.uid, sight.time_s)
                continue
            released_s = self._released_s.pop(claim.metadata.uid, sight.time_s)
            host = sight.gpu_host(claim.spec.host)
            is_anothers = sight.find(claim.key) is not None
            is_fenced = len(sight.universe.processes) < 2
            if host is not None and is_fenced and not is_anothers and not self._is_excused(claim, host, released_s=released_s):
                was_kept = claim.spec.host in sight.kept_on_vfio
                yield from self._elsewhere(claim, sight.state(claim.spec.host), was_kept=was_kept)

    def _is_excused(self, claim: GPUClaim, host: GPUHost, *, released_s: float) -> bool:
        is_barred = claim.status.cleaning.is_left_alone or claim.spec.address in out_of_service(host)
        return is_barred or self._settings.kept_on_vfio(claim.spec.host, since_s=released_s)

    @staticmethod
    def _elsewhere(claim: GPUClaim, state: HostState, *, was_kept: bool) -> Iterator[str]:
        """Not the claim's word for what was there before counts, but what the kernel chose at first."""
        own = state.functions[claim.spec.address]
        for function in state.group_of(own):
            is_free = function.is_present and not function.is_bridge and not state.user_of(function.address)
            if is_free and function.driver != function.native_driver and not (was_kept and function.driver == VFIO):
                yield (
                    f"{function.address} of {claim.spec.host} is on {function.driver or 'no driver'} although the claim of "
                    f"{claim.spec.owner.key} has ended, and not on {function.native_driver or 'none'} as at first"
                )


def _follow(host: str, is_so: bool, *, now: set[str], until_s: dict[str, float], time_s: float) -> None:
    if is_so:
        now.add(host)
    elif host in now:
        now.discard(host)
        until_s[host] = time_s


def was_reset(function: FunctionState, *, since_s: float) -> bool:
    """Whether the device was reset at that time of day or later."""
    return any(run.at_s >= since_s for run in reversed(function.resets))


def _was_scrubbed(state: HostState, address: str, *, since_s: float) -> bool:
    runs = [run for run in state.inside.scrubs if run.at_s >= since_s and run.address == address]
    return bool(runs) and runs[-1].exit_status == 0


def _was_looked_at(host: str, address: str, sight: Sight) -> bool:
    """Whether an examination of it went well after its last reset."""
    reset_s = sight.state(host).functions[address].resets[-1].at_s - (sight.time_s - sight.now_s)
    for call in reversed(tuple(sight.universe.fleet.calls)):
        if call.at_s < reset_s - ROUNDING_S:
            return False
        if call.name == "inventory.examine" and call.host == host and call.went_well and address in call.subject:
            return True
    return False
