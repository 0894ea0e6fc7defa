"""Drives GPUQuotas: counts what the namespace uses, and says whether that is within. Nothing is stopped or placed here.

    GPUQuota, claims of its namespace, VMs of its namespace that are scheduled or no longer ──> one pass: used, WithinQuota
                                           used has fallen ──> VMs of the namespace that wait (see virtual_machine/reconciler)

A pass reads sums that are kept anyway (quota_use.py) and writes only what differs, so it costs the same for one VM and for a
thousand. Where no quota exists, a change costs the look into an empty table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.view import View
from provisioner.model.errors import NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_quota import WITHIN_QUOTA, GPUQuota
from provisioner.model.metadata import Condition, Key, Resource, find_condition
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.planning.quotas import Tenancy, excess, promised_gpus
from provisioner.store.protocol import Change, ChangeType

UNHEARD_S = 1.0
"""Over a store that hears of writers some time later, a quota may be read before those who plan have heard of it."""


class GPUQuotaReconciler:
    """Owns GPUQuota."""

    kinds: tuple[type[Resource], ...] = (GPUQuota,)

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._generations: defaultdict[str, dict[Key, int]] = defaultdict(dict)
        """Of every quota, by namespace."""
        self._promised: dict[Key, tuple[str, ...]] = {}
        """By VM, in namespaces with quotas."""

    def reconcile(self, key: Key) -> float | None:
        """Write down what is used now."""
        try:
            view = View(self._ports.store.get(GPUQuota, key.name, namespace=key.namespace), self._ports)
        except NotFound:
            self._forget(key)
            return None
        self._generations[key.namespace][key] = view.resource.metadata.generation
        if view.resource.is_being_deleted:
            return None
        tenancy = self._ports.snapshots.tenancy(key.namespace, self._ports.store, self._ports.tables)
        if tenancy is None:
            return UNHEARD_S
        _write(view, tenancy)
        return None

    def concerns(self, change: Change) -> tuple[Key, ...]:
        """Own changes of spec; claims and VMs of namespaces with quotas, where they change what is used."""
        resource = change.resource
        if isinstance(resource, GPUQuota):
            return self._own(change, resource)
        if isinstance(resource, GPUClaim):
            is_news = change.type is not ChangeType.MODIFIED or resource.is_released
            return self._of(resource.spec.owner.namespace) if is_news else ()
        if isinstance(resource, VirtualMachine) and self._generations.get(resource.metadata.namespace):
            return self._of(resource.metadata.namespace) if self._has_news(change, resource) else ()
        return ()

    def group_of(self, key: Key) -> str:
        """No host is asked."""
        del key
        return ""

    def _own(self, change: Change, quota: GPUQuota) -> tuple[Key, ...]:
        known = self._generations[quota.metadata.namespace]
        if change.type is ChangeType.DELETED:
            self._forget(quota.key)
            return ()
        is_news = known.get(quota.key) != quota.metadata.generation
        known[quota.key] = quota.metadata.generation
        return (quota.key,) if is_news else ()

    def _of(self, namespace: str) -> tuple[Key, ...]:
        return tuple(self._generations.get(namespace, ()))

    def _has_news(self, change: Change, vm: VirtualMachine) -> bool:
        before = self._promised.pop(vm.key, ())
        now = () if change.type is ChangeType.DELETED else promised_gpus(vm)
        if now:
            self._promised[vm.key] = now
        return before != now

    def _forget(self, key: Key) -> None:
        known = self._generations[key.namespace]
        known.pop(key, None)
        if not known:
            del self._generations[key.namespace]
            self._promised = {vm: gpus for vm, gpus in self._promised.items() if vm.namespace != key.namespace}


class QuotaNews:
    """Which changes of quotas may help a VM that waits; used that grows helps nobody."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[int, Mapping[str, int]]] = {}

    def may_help(self, change: ChangeType, quota: GPUQuota) -> bool:
        """Take the change in, and say whether a VM of its namespace may be placed now, or waits for another reason."""
        if change is ChangeType.DELETED:
            self._known.pop(quota.key, None)
            return True
        before, now = self._known.get(quota.key), (quota.metadata.generation, quota.status.used)
        self._known[quota.key] = now
        return before is None or before[0] != now[0] or any(now[1].get(name, 0) < used for name, used in before[1].items())


def _write(view: View[GPUQuota], tenancy: Tenancy) -> None:
    quota = view.resource
    used = {resource: tenancy.used_of(resource) for resource in quota.spec.hard}
    before, now = find_condition(quota.status.conditions, WITHIN_QUOTA), _within(view, tenancy)
    view.write(now, hard=quota.spec.hard, used=used)
    if now.status == "False" and (before is None or before.status != now.status):
        view.tell(now.reason, now.message, warning=True)


def _within(view: View[GPUQuota], tenancy: Tenancy) -> Condition:
    too_much = excess(view.resource, tenancy)
    if not too_much:
        return view.condition(WITHIN_QUOTA, "True", "Within")
    so = ", ".join(f"{used} of {hard} {resource} used" for resource, (used, hard) in too_much.items())
    message = f"{so}: what runs goes on, and nothing more is placed before enough is given back"
    return view.condition(WITHIN_QUOTA, "False", "OverQuota", message)
