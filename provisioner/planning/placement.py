"""Where a VM goes, with which GPUs and why; or exactly why nowhere.

`place` is a function of a snapshot: the reconciler, `--dry-run` and `hikube explain` call it alike. It reserves nothing;
whoever acts on its answer creates the claims, and plans again if one exists already. Its "no" is as good as its "yes": every
host is counted under its most fundamental reason, so that the counts add up to the number of hosts, and the nearest miss says
what would have been enough. The quotas of the VM's namespace come first: who is over quota is told so, and no host is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.planning.answers import Memory, answers_of
from provisioner.planning.fitting import Fit, fits
from provisioner.planning.fleet import Fleet, HostView
from provisioner.planning.policy import PlacementPolicy
from provisioner.planning.quotas import QUOTA_EXCEEDED, QuotaRefusal, over_quota, scoped
from provisioner.planning.refusals import FUNDAMENTAL, NO_HOSTS, Reason, Refusal, count_in_words, counted, joined, lack_of
from provisioner.planning.requests import PlacementRequest
from provisioner.planning.scoring import Score

__all__ = ["Memory", "NearMiss", "NoPlacement", "Placement", "fits", "nearest_miss", "place"]


@dataclass(frozen=True, slots=True)
class Placement:
    """A host that takes the VM, and its GPUs in the order in which the guest gets them."""

    request: PlacementRequest
    host: str
    gpus: tuple[str, ...]
    """Their PCI addresses on the host."""
    gpu_names: tuple[str, ...]
    """Their canonical names, one for each address."""
    numa_node: int | None
    is_emulated: bool
    reasons: tuple[str, ...]
    """Why this host and these GPUs, in sentences."""
    score: Score
    alternatives: tuple[Score, ...]
    """The next best hosts."""
    hosts_that_fit: int
    hosts: int
    node: str = ""
    """Of a KubeVirt cluster, one that has room; the cluster's scheduler chooses, and its kubelet gives the GPUs."""

    def sentence(self) -> str:
        """`gpu-04 (0000:41:00.0, 0000:61:00.0; NUMA node 1; 3 of 12 hosts fit)`."""
        parts = [", ".join(self.gpus)] if self.gpus else []
        parts += [f"room on node {self.node}"] if self.node else []
        parts += [f"NUMA node {self.numa_node}"] if self.numa_node is not None else []
        parts += [f"{self.hosts_that_fit} of {counted(self.hosts, 'host')} fit"]
        return f"{self.host} ({'; '.join(parts)})"

    def as_dict(self) -> dict[str, Any]:
        """The placement as data for `-o json`."""
        return {
            "host": self.host,
            "gpus": [{"name": name, "address": at} for name, at in zip(self.gpu_names, self.gpus, strict=True)],
            "numaNode": self.numa_node,
            "emulated": self.is_emulated,
            "reasons": list(self.reasons),
            "score": self.score.as_dict(),
            "alternatives": [score.as_dict() for score in self.alternatives],
            "hostsThatFit": self.hosts_that_fit,
            "hosts": self.hosts,
            **({"node": self.node} if self.node else {}),
        }


@dataclass(frozen=True, slots=True)
class NearMiss:
    """The host that lacks least."""

    host: str
    lacks: str
    """What it would need, in words: `24 GiB of memory and 2 vCPUs`."""
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class NoPlacement:
    """No host takes the VM: every host with every reason, most fundamental first; or none was asked, since it is over quota."""

    request: PlacementRequest
    refused: tuple[tuple[str, tuple[Refusal, ...]], ...]
    """By host name."""
    over_quota: tuple[QuotaRefusal, ...] = ()
    """The limits in the way, the most hopeless first."""

    @property
    def counts(self) -> dict[str, int]:
        """How many hosts gave each reason first; the largest count first, they add up to the number of hosts."""
        counts = Counter(refusals[0].reason for _, refusals in self.refused)
        largest_first = sorted(counts, key=lambda reason: (-counts[reason], FUNDAMENTAL[reason]))
        return {reason.value: counts[reason] for reason in largest_first}

    @property
    def nearest(self) -> NearMiss | None:
        """The host that lacks least; None in an empty fleet, and where no host was asked."""
        return nearest_miss(self.refused)

    @property
    def reason(self) -> str:
        """The one word for a condition: that it is over quota, or what the nearest host lacks first."""
        if self.over_quota:
            return QUOTA_EXCEEDED
        return self.nearest.refusals[0].reason.value if self.nearest else NO_HOSTS

    def sentence(self) -> str:
        """`1 host: 0 of 1 L40S free`, or `12 hosts: 7 without H100, 4 with too few H100 free, 1 cordoned; nearest: …`."""
        if self.over_quota:
            return "; ".join(refusal.sentence() for refusal in self.over_quota)
        if not self.refused:
            return "there are no hosts"
        if len(self.refused) == 1:
            ((_, refusals),) = self.refused
            return "1 host: " + "; ".join(refusal.message for refusal in refusals)
        nearest = self.nearest
        assert nearest is not None
        phrases = ", ".join(self._phrases())
        return f"{len(self.refused)} hosts: {phrases}; nearest: {nearest.host}, which lacks {nearest.lacks}"

    def _phrases(self) -> list[str]:
        phrases = []
        for word, count in self.counts.items():
            first = [refusals[0] for _, refusals in self.refused if refusals[0].reason == word]
            phrases.append(count_in_words(Reason(word), hosts=count, subjects=[refusal.subject for refusal in first]))
        return phrases

    def as_dict(self) -> dict[str, Any]:
        """The refusal as data: for `-o json` and for the context of NoCapacity."""
        nearest = self.nearest
        return {
            "needed": self.request.in_words(),
            "hosts": len(self.refused),
            "counts": self.counts,
            "reason": self.reason,
            "sentence": self.sentence(),
            "nearest": {"host": nearest.host, "lacks": nearest.lacks} if nearest else None,
            "refusals": {host: [refusal.as_dict() for refusal in refusals] for host, refusals in self.refused},
            **({"overQuota": [refusal.as_dict() for refusal in self.over_quota]} if self.over_quota else {}),
        }


def place(
    request: PlacementRequest, fleet: Fleet, *, policy: PlacementPolicy | None = None, memory: Memory | None = None
) -> Placement | NoPlacement:
    """The best host for the request, or every host's reasons, or the quota's. Depends on request, fleet and policy only.

    With a `memory`, hosts of which nothing changed since the same was asked before are not asked again.
    """
    policy = policy or PlacementPolicy()
    if fleet.tenancies:
        if refusals := over_quota(request, fleet.tenancies):
            return NoPlacement(request, (), refusals)
        request = scoped(request, fleet.tenancies)
    answers = answers_of(request, fleet, policy=policy, memory=memory)
    best = answers.best(1 + policy.alternatives)
    if not best:
        return NoPlacement(request, answers.refused())
    chosen, others = best[0], [other.score for other in best[1:]]
    fit = chosen.fit
    return Placement(
        request=request,
        host=chosen.view.name,
        gpus=fit.choice.addresses,
        gpu_names=tuple(gpu.facts.name for gpu in fit.choice.gpus),
        numa_node=fit.choice.numa_node,
        is_emulated=fit.is_emulated,
        reasons=_reasons(request, fit, view=chosen.view, others=others, score=chosen.score),
        score=chosen.score,
        alternatives=tuple(others[: policy.alternatives]),
        hosts_that_fit=answers.yes_count,
        hosts=len(fleet.loads),
        node=fit.node,
    )


def nearest_miss(refused: Sequence[tuple[str, tuple[Refusal, ...]]]) -> NearMiss | None:
    """The host that lacks least: whose worst refusal is nearest to a yes, then with the fewest refusals, then by amounts."""
    if not refused:
        return None
    host, refusals = min(refused, key=lambda entry: lack_of(*entry))
    return NearMiss(host, lacks=joined(refusal.lacks for refusal in refusals), refusals=refusals)


def _reasons(request: PlacementRequest, fit: Fit, *, view: HostView, others: Sequence[Score], score: Score) -> tuple[str, ...]:
    sentences = [_why_this_host(request, view=view, others=others, score=score)]
    if fit.is_emulated:
        sentences.append("KVM does not work there and emulation is allowed: the guest runs under emulation, and slowly")
    if fit.node:
        sentences.append(f"node {fit.node} has room now; the cluster's own scheduler chooses among its nodes")
    elif request.gpus:
        sentences.append(_why_these_gpus(fit))
    if not request.gpus and view.gpus:
        sentences.append("no host without GPUs fits")
    return tuple(sentences)


def _why_this_host(request: PlacementRequest, *, view: HostView, others: Sequence[Score], score: Score) -> str:
    if request.pinned_hosts:
        return f"{view.name} holds the VM's disk"
    if not others:
        return f"{view.name} is the only host that fits"
    return f"{view.name} is better than {others[0].host}: {_difference(score, others[0])}"


def _difference(best: Score, second: Score) -> str:
    """The first field in which they differ, in words."""
    words = {
        "claims_elsewhere": "the VM has claimed GPUs there already",
        "is_emulated": "KVM works there",
        "numa_nodes": f"GPUs on {counted(best.numa_nodes, 'NUMA node')} instead of {second.numa_nodes}",
        "bridges": f"GPUs under {counted(best.bridges, 'PCIe bridge')} instead of {second.bridges}",
        "gpus_on_host": f"it has {counted(best.gpus_on_host, 'GPU')} instead of {second.gpus_on_host}, and the VM needs none",
        "free_gpus_after": f"{best.free_gpus_after} GPUs stay free, not {second.free_gpus_after}, so large hosts stay whole",
        "free_gpus_on_node_after": "it breaks up no larger NUMA node",
        "free_memory_after_mib": "less memory stays free, so large hosts stay whole",
    }
    one, other = best.as_dict(), second.as_dict()
    return next((sentence for name, sentence in words.items() if one[name] != other[name]), "first by name, equal otherwise")


def _why_these_gpus(fit: Fit) -> str:
    choice = fit.choice
    if len(choice.gpus) == 1:
        left = choice.left_on_node
        stay = f"{counted(left, 'GPU')} stay{'s' if left == 1 else ''} free" if left else "no other GPU stays free"
        where = f" on NUMA node {choice.numa_node}" if choice.numa_node is not None else ""
        return f"{choice.addresses[0]}{where}, where {stay}"
    if choice.numa_nodes > 1:
        where = f" on {choice.numa_nodes} NUMA nodes, since no single one has enough"
    else:
        where = f" on NUMA node {choice.numa_node}" if choice.numa_node is not None else ""
    return f"{', '.join(choice.addresses)}{where}, under {counted(choice.bridges, 'PCIe bridge')}"
