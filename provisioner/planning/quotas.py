"""What a namespace may have: whether a VM is within the quotas of its namespace, and which hosts those let it use.

Called by `place`, and so by everybody who plans. A quota is about what is asked in addition: a VM that has its GPUs already is
not over quota by having them, whatever the quotas say by now. Where no quota exists, nothing is computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from provisioner.model.gpu_quota import ALL_GPUS, GPUQuota
from provisioner.model.metadata import Key, find_condition
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.planning.refusals import counted, joined
from provisioner.planning.requests import PlacementRequest

QUOTA_EXCEEDED = "QuotaExceeded"
"""The reason of a refusal by a quota; hosts are not asked then."""
_NAMED_MOST = 5


@dataclass(frozen=True, slots=True)
class Holding:
    """The GPUs that one VM has, by canonical name."""

    owner: Key
    gpus: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Tenancy:
    """One namespace with quotas: what they say, and what its VMs have. Build it with `of`, unless the sums are known."""

    quotas: tuple[GPUQuota, ...]
    """By name."""
    holdings: Mapping[str, Holding] = field(default_factory=dict)
    """By the uid of the VM; VMs without GPUs have none."""
    used: Mapping[str, int] = field(default_factory=dict)
    """By canonical name, of all holdings."""

    @classmethod
    def of(cls, quotas: Iterable[GPUQuota], holdings: Mapping[str, Holding]) -> Tenancy:
        """In one fixed order, with the sums."""
        used: Counter[str] = Counter()
        for holding in holdings.values():
            used.update(holding.gpus)
        return cls(tuple(sorted(quotas, key=lambda quota: quota.metadata.name)), holdings, used)

    @property
    def host_labels(self) -> tuple[tuple[str, str], ...]:
        """What a host must have: the selectors of all quotas together, in order. Two values of one label fit no host."""
        return tuple(sorted({pair for quota in self.quotas for pair in quota.spec.host_selector.items()}))

    def used_of(self, resource: str) -> int:
        """How many GPUs all VMs of the namespace have, of a model or of all together."""
        return sum(self.used.values()) if resource == ALL_GPUS else self.used.get(resource, 0)

    def held_by(self, uid: str, resource: str) -> int:
        """How many of them one VM has."""
        holding = self.holdings.get(uid)
        return _of(resource, holding.gpus) if holding is not None else 0

    def users_of(self, resource: str, *, but: str) -> tuple[str, ...]:
        """Names of the other VMs that have any, in order."""
        known = self.holdings.items()
        return tuple(sorted(each.owner.name for uid, each in known if uid != but and _of(resource, each.gpus)))


@dataclass(frozen=True, slots=True)
class QuotaRefusal:
    """One limit that stands in the way of one VM."""

    quota: str
    """Name of the GPUQuota."""
    namespace: str
    resource: str
    """Canonical name of the model, or `gpus`."""
    word: str
    """The same for sentences."""
    hard: int
    used: int
    """By the namespace's other VMs."""
    users: tuple[str, ...]
    """Their names."""
    asked: int

    @property
    def is_hopeless(self) -> bool:
        """Whether more is asked than the quota ever gives: no end of another VM helps."""
        return self.asked > self.hard

    @property
    def missing(self) -> int:
        """How many GPUs there are too many."""
        return self.used + self.asked - self.hard

    def sentence(self) -> str:
        """`quota team-a allows 2 L40S, 2 used (by train-1 and train-2), 1 asked: 1 too many`."""
        if self.is_hopeless:
            return f"quota {self.quota} allows {self.hard} {self.word} in all, {self.asked} asked: this can never be given"
        used = f"{self.used} used" + (f" (by {_some(self.users)})" if self.users else "")
        return f"quota {self.quota} allows {self.hard} {self.word}, {used}, {self.asked} asked: {self.missing} too many"

    def as_dict(self) -> dict[str, Any]:
        """The refusal as data for `-o json`."""
        return {
            "quota": self.quota,
            "namespace": self.namespace,
            "resource": self.resource,
            "hard": self.hard,
            "used": self.used,
            "usedBy": list(self.users),
            "asked": self.asked,
            "canNever": self.is_hopeless,
        }


Tenancies = Mapping[str, Tenancy]
"""By namespace; only those that have a quota."""


def scoped(request: PlacementRequest, tenancies: Tenancies) -> PlacementRequest:
    """The request with what the quotas of its namespace say of hosts."""
    tenancy = _tenancy(request, tenancies)
    return replace(request, tenant_labels=tenancy.host_labels) if tenancy is not None else request


def over_quota(request: PlacementRequest, tenancies: Tenancies, *, is_counted: bool = False) -> tuple[QuotaRefusal, ...]:
    """Every limit in the way, those that can never be met first, then by how much is too many; empty: it is within all.

    Args:
        request: What the VM asks.
        tenancies: Quotas and use at this moment.
        is_counted: The VM's GPUs were claimed for this request a moment ago, and are to be judged as if they had not been.
    """
    tenancy = _tenancy(request, tenancies)
    if tenancy is None or not request.gpus:
        return ()
    found = _refusals(request, tenancy, is_counted=is_counted)
    return tuple(sorted(found, key=lambda each: (not each.is_hopeless, -each.missing, each.quota, each.resource)))


def excess(quota: GPUQuota, tenancy: Tenancy) -> dict[str, tuple[int, int]]:
    """Where more is used than the quota allows: (used, allowed) by resource."""
    pairs = {resource: (tenancy.used_of(resource), hard) for resource, hard in quota.spec.hard.items()}
    return {resource: (used, hard) for resource, (used, hard) in pairs.items() if used > hard}


def promised_gpus(vm: VirtualMachine) -> tuple[str, ...]:
    """Canonical names of the GPUs that the VM has by its own status, with or without claims; none before it is scheduled."""
    scheduled = find_condition(vm.status.conditions, "Scheduled")
    if scheduled is None or scheduled.status != "True":
        return ()
    running = vm.status.running_spec
    if not vm.status.gpus and running is not None:
        return running.gpus
    return tuple(gpu.name for gpu in vm.status.gpus or vm.spec.gpus)


def _refusals(request: PlacementRequest, tenancy: Tenancy, *, is_counted: bool) -> Iterator[QuotaRefusal]:
    asked_of = {need.name: (need.count, need.word) for need in request.gpus}
    asked_of[ALL_GPUS] = (request.gpu_count, "GPUs of all models")
    for quota in tenancy.quotas:
        for resource, hard in quota.spec.hard.items():
            asked, word = asked_of.get(resource, (0, ""))
            held = tenancy.held_by(request.owner_uid, resource)
            others = tenancy.used_of(resource) - held
            if not asked or others + asked <= hard or (asked <= held and not is_counted):
                continue
            users = tenancy.users_of(resource, but=request.owner_uid)
            namespace = quota.metadata.namespace
            yield QuotaRefusal(quota.metadata.name, namespace, resource, word, hard, others, users, asked)


def _tenancy(request: PlacementRequest, tenancies: Tenancies) -> Tenancy | None:
    return tenancies.get(request.owner.namespace) if tenancies and request.owner is not None else None


def _of(resource: str, gpus: Mapping[str, int]) -> int:
    return sum(gpus.values()) if resource == ALL_GPUS else gpus.get(resource, 0)


def _some(names: tuple[str, ...]) -> str:
    """At most five names, then how many more."""
    if len(names) <= _NAMED_MOST:
        return joined(names)
    return f"{', '.join(names[:_NAMED_MOST])} and {counted(len(names) - _NAMED_MOST, 'other')}"
