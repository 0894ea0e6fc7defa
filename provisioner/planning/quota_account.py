"""What one quota allows, what is used of it and by whom, and which hosts it leaves: for `hikube explain quota`.

The same sums that placement goes by; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from provisioner.model.gpu_quota import GPUQuota
from provisioner.model.metadata import matches
from provisioner.planning.fleet import Fleet
from provisioner.planning.quotas import Tenancy
from provisioner.planning.refusals import counted, joined


@dataclass(frozen=True, slots=True)
class LimitAccount:
    """One line of the quota."""

    resource: str
    hard: int
    used: int
    users: tuple[str, ...]

    def line(self) -> str:
        """`nvidia.com/AD102GL_L40S: 2 of 2 used, by train-1 and train-2`."""
        over = f", {self.used - self.hard} more than allowed" if self.used > self.hard else ""
        by = f", by {joined(self.users)}" if self.users else ""
        return f"{self.resource}: {self.used} of {self.hard} used{by}{over}"

    def as_dict(self) -> dict[str, Any]:
        """As data for `-o json`."""
        return {"resource": self.resource, "hard": self.hard, "used": self.used, "usedBy": list(self.users)}


@dataclass(frozen=True, slots=True)
class QuotaAccount:
    """The whole quota."""

    quota: str
    namespace: str
    limits: tuple[LimitAccount, ...]
    wanted: tuple[str, ...]
    """Labels that a host must have, as `name=value`."""
    hosts: tuple[str, ...]
    """That have them, by name."""
    hosts_in_all: int

    def lines(self) -> Iterator[str]:
        """As text."""
        yield f"quota {self.quota} of namespace {self.namespace}"
        yield from (f"  {limit.line()}" for limit in self.limits)
        if not self.wanted:
            yield "  hosts: any"
            return
        so = f"{len(self.hosts)} of {counted(self.hosts_in_all, 'host')}"
        yield f"  hosts with {joined(self.wanted)}: {so}" + (f" ({', '.join(self.hosts)})" if self.hosts else "")

    def as_dict(self) -> dict[str, Any]:
        """As data for `-o json`."""
        limits = [each.as_dict() for each in self.limits]
        hosts = {"labels": list(self.wanted), "allowed": list(self.hosts), "all": self.hosts_in_all}
        return {"quota": self.quota, "namespace": self.namespace, "limits": limits, "hosts": hosts}


def account_of(quota: GPUQuota, fleet: Fleet) -> QuotaAccount:
    """Of this quota alone; others of the namespace may allow less."""
    namespace, spec = quota.metadata.namespace, quota.spec
    tenancy = fleet.tenancies.get(namespace) or Tenancy.of((quota,), {})
    limits = (
        LimitAccount(resource, hard, tenancy.used_of(resource), tenancy.users_of(resource, but=""))
        for resource, hard in spec.hard.items()
    )
    return QuotaAccount(
        quota=quota.metadata.name,
        namespace=namespace,
        limits=tuple(limits),
        wanted=tuple(f"{name}={value}" for name, value in sorted(spec.host_selector.items())),
        hosts=tuple(host.metadata.name for host in fleet.hosts if matches(host.metadata.labels, spec.host_selector)),
        hosts_in_all=len(fleet.hosts),
    )
