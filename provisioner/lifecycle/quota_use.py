"""Quotas by namespace, and the GPUs that every VM has, kept up to date change by change for whoever plans.

    claims, promises of VMs ──> GPUs of each VM ──> sums of each namespace ──┐
    GPUQuotas ──────────────────────────────────────────────────────────────┴──> Tenancy of every namespace with a quota

A GPU counts as used from its claim until its owner lets go of it (what is being cleaned is nobody's), and as long as a VM is
scheduled, whatever it has claims for. One change costs the same however many VMs there are. Not safe for threads by itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_quota import GPUQuota
from provisioner.model.metadata import Key, Resource
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.planning.quotas import Holding, Tenancies, Tenancy, promised_gpus


@dataclass(slots=True)
class _Part:
    """What one VM has."""

    owner: Key
    claimed: dict[str, str] = field(default_factory=dict)
    """The model by the name of the claim."""
    promised: tuple[str, ...] = ()

    def gpus(self) -> Counter[str]:
        """By model; what is claimed and promised is the same GPU."""
        return Counter(self.claimed.values()) | Counter(self.promised)


class QuotaUse:
    """Takes in what changes; says what every namespace with a quota may have and has."""

    def __init__(self) -> None:
        self._quotas: defaultdict[str, dict[str, GPUQuota]] = defaultdict(dict)
        """By namespace and name."""
        self._parts: dict[str, _Part] = {}
        """By the uid of the VM."""
        self._holdings: defaultdict[str, dict[str, Holding]] = defaultdict(dict)
        """By namespace and uid."""
        self._used: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """By namespace."""
        self._stale: set[str] = set()
        """Namespaces whose tenancy is to be made anew."""
        self._tenancies: Tenancies = {}

    def quota_changed(self, before: Resource | None, after: Resource | None) -> None:
        """A GPUQuota is there, another one, or gone."""
        known = after or before
        assert known is not None
        namespace, name = known.metadata.namespace, known.metadata.name
        if isinstance(after, GPUQuota):
            self._quotas[namespace][name] = after
        else:
            self._quotas[namespace].pop(name, None)
        self._stale.add(namespace)

    def claim_changed(self, before: Resource | None, after: Resource | None) -> None:
        """A GPUClaim is there, another one, or gone."""
        if _is_same_use(before, after):
            return
        if isinstance(before, GPUClaim) and before.spec.owner.uid in self._parts:
            self._parts[before.spec.owner.uid].claimed.pop(before.metadata.name, None)
            self._sum_up(before.spec.owner.uid)
        if isinstance(after, GPUClaim) and not after.is_released:
            owner = after.spec.owner
            part = self._parts.setdefault(owner.uid, _Part(owner.key))
            part.claimed[after.metadata.name] = after.spec.gpu_name
            self._sum_up(owner.uid)

    def machine_changed(self, before: Resource | None, after: Resource | None) -> None:
        """A VM is there, another one, or gone."""
        if isinstance(before, VirtualMachine) and (after is None or after.metadata.uid != before.metadata.uid):
            self._promise(before.metadata.uid, before.key, ())
        if isinstance(after, VirtualMachine):
            self._promise(after.metadata.uid, after.key, promised_gpus(after))

    def tenancies(self) -> Tenancies:
        """Of all namespaces that have a quota; the same object as before, if nothing of theirs has changed."""
        if self._stale:
            fresh = {namespace: self._tenancy(namespace) for namespace in self._stale if self._quotas.get(namespace)}
            kept = {namespace: each for namespace, each in self._tenancies.items() if namespace not in self._stale}
            self._tenancies = kept | fresh
            self._stale.clear()
        return self._tenancies

    def _tenancy(self, namespace: str) -> Tenancy:
        quotas = self._quotas[namespace]
        in_order = tuple(quotas[name] for name in sorted(quotas))
        return Tenancy(in_order, dict(self._holdings[namespace]), dict(self._used[namespace]))

    def _promise(self, uid: str, owner: Key, gpus: tuple[str, ...]) -> None:
        part = self._parts.get(uid)
        if part is None and gpus:
            part = self._parts[uid] = _Part(owner)
        if part is not None and part.promised != gpus:
            part.promised = gpus
            self._sum_up(uid)

    def _sum_up(self, uid: str) -> None:
        """Bring holding and sum of the VM's namespace up to date."""
        part = self._parts[uid]
        namespace, gpus = part.owner.namespace, part.gpus()
        before = self._holdings[namespace].pop(uid, None)
        if before is not None:
            self._used[namespace].subtract(before.gpus)
        if gpus:
            self._holdings[namespace][uid] = Holding(part.owner, gpus)
            self._used[namespace].update(gpus)
        else:
            del self._parts[uid]
        if namespace in self._quotas and (before is None or before.gpus != gpus):
            self._stale.add(namespace)


def _is_same_use(before: Resource | None, after: Resource | None) -> bool:
    """Whether only something was noted about a GPU that the same VM goes on having."""
    if not isinstance(before, GPUClaim) or not isinstance(after, GPUClaim):
        return False
    return before.spec == after.spec and before.is_released == after.is_released
