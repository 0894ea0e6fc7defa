"""Why is it there, or why is it pending? Host by host: the verdict of `fits` and the numbers behind it.

The same functions as placement on the same snapshot; nothing is decided a second time. `hikube explain` and `--dry-run` print
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from provisioner.planning.fitting import Fit, fits
from provisioner.planning.fleet import Fleet, HostView
from provisioner.planning.placement import NoPlacement, Placement, place
from provisioner.planning.policy import PlacementPolicy
from provisioner.planning.quotas import scoped
from provisioner.planning.refusals import Refusal
from provisioner.planning.requests import PlacementRequest
from provisioner.planning.scoring import Score, score_of


@dataclass(frozen=True, slots=True)
class HostVerdict:
    """One host's answer."""

    host: str
    verdict: str
    """`chosen`, `fits` or `refused`."""
    free_gpus: tuple[tuple[str, int, int], ...]
    """Of each model that was asked for: (word, free, in all)."""
    free_memory_mib: int
    memory_mib: int
    free_vcpus: int
    vcpus: int
    refusals: tuple[Refusal, ...] = ()
    score: Score | None = None

    def line(self) -> str:
        """`gpu-04  refused  1 of 2 L40S free, 2 needed; 24 GiB of memory free, 64.3 GiB needed with overhead`."""
        if self.score is not None:
            return f"{self.host}  {self.verdict}  {self.score.in_words()}"
        return f"{self.host}  {self.verdict}  {'; '.join(refusal.message for refusal in self.refusals)}"

    def as_dict(self) -> dict[str, Any]:
        """The verdict as data for `-o json`."""
        return {
            "host": self.host,
            "verdict": self.verdict,
            "gpus": {word: {"free": free, "all": everything} for word, free, everything in self.free_gpus},
            "memoryMib": {"free": self.free_memory_mib, "all": self.memory_mib},
            "vcpus": {"free": self.free_vcpus, "all": self.vcpus},
            "refusals": [refusal.as_dict() for refusal in self.refusals],
            "score": self.score.as_dict() if self.score else None,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """The outcome and every host's part in it: the chosen one first, then by score, then those that refuse."""

    request: PlacementRequest
    outcome: Placement | NoPlacement
    hosts: tuple[HostVerdict, ...]

    def lines(self) -> tuple[str, ...]:
        """The explanation as text, one line each."""
        return tuple(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"asks for: {self.request.in_words()}"
        if isinstance(self.outcome, Placement):
            yield f"goes to: {self.outcome.sentence()}"
            yield from (f"  because {reason}" for reason in self.outcome.reasons)
        else:
            yield f"goes nowhere: {self.outcome.sentence()}"
        yield from (verdict.line() for verdict in self.hosts)

    def as_dict(self) -> dict[str, Any]:
        """The explanation as data for `-o json`."""
        return {
            "request": self.request.in_words(),
            "placed": isinstance(self.outcome, Placement),
            "outcome": self.outcome.as_dict(),
            "hosts": [verdict.as_dict() for verdict in self.hosts],
        }


def explain(request: PlacementRequest, fleet: Fleet, *, policy: PlacementPolicy | None = None) -> Explanation:
    """Place the request on the snapshot and say what every host answered. A VM that is placed sees its own GPUs as free."""
    policy = policy or PlacementPolicy()
    outcome = place(request, fleet, policy=policy)
    request = scoped(request, fleet.tenancies)
    views = fleet.views(policy=policy, for_uid=request.owner_uid)
    verdicts = [_verdict(request, view, policy=policy, outcome=outcome) for view in views]
    return Explanation(request, outcome, tuple(sorted(verdicts, key=_order)))


def _verdict(
    request: PlacementRequest, view: HostView, *, policy: PlacementPolicy, outcome: Placement | NoPlacement
) -> HostVerdict:
    answer = fits(request, view, policy=policy)
    is_chosen = isinstance(outcome, Placement) and outcome.host == view.name
    free, everything = view.free_gpus, view.all_gpus
    return HostVerdict(
        host=view.name,
        verdict="chosen" if is_chosen else "fits" if isinstance(answer, Fit) else "refused",
        free_gpus=tuple((need.word, free[need.name], everything[need.name]) for need in request.gpus),
        free_memory_mib=view.free_memory_mib,
        memory_mib=view.memory_mib,
        free_vcpus=view.free_vcpus,
        vcpus=view.vcpus,
        refusals=() if isinstance(answer, Fit) else answer,
        score=score_of(answer, host=view, request=request) if isinstance(answer, Fit) else None,
    )


def _order(verdict: HostVerdict) -> tuple[bool, Score | str]:
    return (verdict.score is None, verdict.score or verdict.host)
