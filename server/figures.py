"""What the fleet looks like in numbers: a function of the objects that the controller knows. Nothing is read or decided here.

The numbers of labels are bounded whatever the fleet: models and reasons beyond a bound are counted as OTHER, hosts beyond
theirs are in the totals only, those that are away coming first. No figure has the name of a VM, a claim or a GPU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from provisioner.lifecycle.fleet import Known
from provisioner.model.clock import seconds
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost, GpuState
from provisioner.model.metadata import find_condition
from provisioner.model.virtual_machine import Phase, VirtualMachine
from provisioner.planning.fleet import GpuView, HostLoad, foreign_members, gpu_state
from provisioner.planning.nodes import all_by_model
from provisioner.planning.policy import PlacementPolicy
from provisioner.planning.refusals import NO_HOSTS, Reason

MODELS_MAX = 64
REASONS_MAX = 48
HOSTS_MAX = 500
OTHER = "other"

UNAVAILABLE = "Unavailable"
"""Claimed by nobody, and not to be had now: its host is away or cordoned, or it is unhealthy or cannot be passed alone. Of a
KubeVirt cluster: on a node that takes no machines, or in use by others."""
GPU_STATES = (*(state.value for state in GpuState), UNAVAILABLE)
CLAIM_STATES = ("Made", "Bound", "Given", "Released")
BETWEEN_ATTEMPTS = "BetweenAttempts"
NOT_LOOKED_AT = "NotLookedAt"
_LACKS_CAPACITY = frozenset((*(reason.value for reason in Reason), NO_HOSTS))
_OF_AN_ATTEMPT = frozenset(("Done", "Undone", "Released"))


@dataclass(frozen=True, slots=True)
class FirstReady:
    """When a VM was first proven, and how long after its creation."""

    uid: str
    kind: str
    moment_s: float
    after_s: float


@dataclass(slots=True)
class Figures:
    """Counted from one look."""

    gpus: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By model and state."""
    gpus_of_hosts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By host, model and state."""
    hosts: dict[str, bool] = field(default_factory=dict)
    """By name, whether it was reached; all of them."""
    claims: Counter[str] = field(default_factory=Counter)
    oldest_released_s: float = 0.0
    """For how long the GPU has been on its way home that has been for longest."""
    machines: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and phase."""
    waiting: Counter[str] = field(default_factory=Counter)
    """VMs without a host that want one, by the reason."""
    wanted: Counter[str] = field(default_factory=Counter)
    """GPUs that VMs wait for which no host takes, by model."""
    first_ready: list[FirstReady] = field(default_factory=list)

    @property
    def hosts_shown(self) -> frozenset[str]:
        """The hosts that have figures of their own: those that are away first, then by name."""
        return frozenset(sorted(self.hosts, key=lambda name: (self.hosts[name], name))[:HOSTS_MAX])


def figures_of(known: Known, *, now_s: float) -> Figures:
    """Count everything once. `now_s`: seconds since the epoch."""
    figures = Figures()
    for each in known.objects:
        if isinstance(each, GPUClaim):
            _count_claim(figures, each, now_s=now_s)
        elif isinstance(each, VirtualMachine):
            _count_machine(figures, each)
    for load in known.fleet.loads:
        figures.hosts[load.name] = load.host.status.reachable
        counts = _cluster_gpus(load) if load.host.spec.is_cluster else _gpus(load)
        for (model, state), number in counts.items():
            figures.gpus[(model, state)] += number
            figures.gpus_of_hosts[(load.name, model, state)] += number
    return figures


def bounded(counts: Counter[str], most: int) -> Counter[str]:
    """The largest `most` of them; the rest is one, OTHER."""
    if len(counts) <= most:
        return counts
    largest = Counter(dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[: most - 1]))
    largest[OTHER] += counts.total() - largest.total()
    return largest


def models_shown(gpus: Iterable[tuple[str, str]], wanted: Iterable[str]) -> frozenset[str]:
    """The models that have figures of their own; all others are OTHER."""
    return frozenset(sorted({*(model for model, _ in gpus), *wanted})[: MODELS_MAX - 1])


def _count_claim(figures: Figures, claim: GPUClaim, *, now_s: float) -> None:
    status = claim.status
    if claim.is_released:
        figures.claims["Released"] += 1
        figures.oldest_released_s = max(figures.oldest_released_s, now_s - seconds(status.released_at))
    else:
        figures.claims["Given" if claim.was_given else "Bound" if status.bound else "Made"] += 1


def _gpus(load: HostLoad) -> Counter[tuple[str, str]]:
    """Of one host, by model and state."""
    claims = {claim.spec.address: claim for claim in load.claims}
    counts: Counter[tuple[str, str]] = Counter()
    for facts in load.host.status.gpus:
        state = gpu_state(facts, host=load.host, claim=claims.get(facts.address))
        view = GpuView(facts=facts, state=state, in_the_way=foreign_members(facts))
        can_be_had = _offers(load.host) and view.is_free
        counts[(facts.name, UNAVAILABLE if state is GpuState.FREE and not can_be_had else state.value)] += 1
    return counts


def _cluster_gpus(load: HostLoad) -> Counter[tuple[str, str]]:
    """Of a KubeVirt cluster, which hands them out itself: promised to our VMs, free, and all others."""
    free = load.view(policy=PlacementPolicy()).free_gpus if _offers(load.host) else Counter()
    promised = Counter(name for known in load.commitments for name in known.gpu_names)
    counts: Counter[tuple[str, str]] = Counter()
    for model, number in all_by_model(load.host).items():
        counts[(model, GpuState.FREE.value)] = min(free[model], number)
        counts[(model, GpuState.CLAIMED.value)] = min(promised[model], number - counts[(model, GpuState.FREE.value)])
        counts[(model, UNAVAILABLE)] = number - counts[(model, GpuState.FREE.value)] - counts[(model, GpuState.CLAIMED.value)]
    return +counts


def _offers(host: GPUHost) -> bool:
    return host.status.reachable and not host.spec.cordoned and not host.is_being_deleted


def _count_machine(figures: Figures, vm: VirtualMachine) -> None:
    figures.machines[(vm.kind, vm.status.phase.value)] += 1
    if vm.status.first_ready:
        made_s, ready_s = seconds(vm.metadata.creation_timestamp), seconds(vm.status.first_ready)
        figures.first_ready.append(FirstReady(vm.metadata.uid, vm.kind, ready_s, max(0.0, ready_s - made_s)))
    reason = _waits_for(vm)
    if not reason:
        return
    figures.waiting[reason] += 1
    if reason in _LACKS_CAPACITY:
        figures.wanted.update(gpu.name for gpu in vm.spec.gpus)


def _waits_for(vm: VirtualMachine) -> str:
    """The reason why it has no host, if it wants one; empty otherwise."""
    if vm.status.phase is not Phase.PENDING or vm.is_being_deleted:
        return ""
    scheduled = find_condition(vm.status.conditions, "Scheduled")
    if scheduled is None:
        return NOT_LOOKED_AT
    if scheduled.status == "True":
        return ""
    return BETWEEN_ATTEMPTS if scheduled.reason in _OF_AN_ATTEMPT else scheduled.reason
