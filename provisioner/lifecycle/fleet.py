"""What placement plans on: hosts, claims, committed VMs and quotas, kept up to date by the store's history.

    store ──changes──> Mirror ──before, after──> what each host has taken of it ──> Fleet, claims of a host, owners

All of it is as the store has it when it is asked for, at one version; between processes the claims decide, as ever. Only what
has changed is read and computed anew, so the cost of a plan does not grow with the fleet. A stopped VM commits nothing: its
GPUs and its memory are for others until it starts again.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from provisioner.lifecycle.quota_use import QuotaUse
from provisioner.model.errors import InvalidInput
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.gpu_quota import GPUQuota
from provisioner.model.metadata import Resource, find_condition
from provisioner.model.sizing import guest_size
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from provisioner.planning.fleet import Commitment, Fleet, HostLoad, commitment_of
from provisioner.planning.placement import Memory, NoPlacement, Placement, place
from provisioner.planning.quotas import QuotaRefusal, Tenancy, over_quota
from provisioner.planning.requests import PlacementRequest
from provisioner.store.mirror import Mirror
from provisioner.store.protocol import Store


@dataclass(frozen=True, slots=True)
class Known:
    """What plans are made from, for whoever counts it."""

    objects: tuple[Resource, ...]
    """Hosts, claims and VMs among them, in no order."""
    fleet: Fleet


class Snapshots:
    """Takes snapshots of one store. Threads may share it."""

    def __init__(self) -> None:
        self._mirror = Mirror(GPUHost, VirtualMachine, VMInstance, GPUClaim, GPUQuota)
        self._memory = Memory()
        self._lock = threading.RLock()
        self._hosts: dict[str, GPUHost] = {}
        self._names: list[str] = []
        """Of the hosts, in order."""
        self._claims: defaultdict[str, dict[str, GPUClaim]] = defaultdict(dict)
        """By host and name."""
        self._commitments: dict[str, Commitment] = {}
        """By the uid of the VM."""
        self._committed: defaultdict[str, dict[str, Commitment]] = defaultdict(dict)
        """By host and uid."""
        self._uids: set[str] = set()
        self._external: Mapping[str, str] = {}
        self._loads: dict[str, HostLoad] = {}
        self._touched: set[str] = set()
        """Hosts whose loads are to be built anew."""
        self._quota_use = QuotaUse()
        self._fleet: Fleet | None = None
        self.turn = threading.Lock()
        """To be held from the snapshot until the claims exist, where this process plans for many VMs at once: two plans on one
        snapshot choose the same GPU, and the slower one is made for nothing. Between processes the claims decide, as ever."""

    def take(self, store: Store, tables: Tables) -> Fleet:
        """The fleet as it is now."""
        with self._lock:
            self._catch_up(store, tables)
            tenancies = self._quota_use.tenancies()
            if self._fleet is None or self._fleet.tenancies is not tenancies:
                self._build_loads()
                self._fleet = Fleet(tuple(map(self._loads.__getitem__, self._names)), self._external, tenancies)
            return self._fleet

    def place(self, request: PlacementRequest, store: Store, tables: Tables) -> Placement | NoPlacement:
        """Where the VM goes on the fleet as it is now."""
        with self._lock:
            return place(request, self.take(store, tables), memory=self._memory)

    def over_quota(self, request: PlacementRequest, store: Store, tables: Tables) -> tuple[QuotaRefusal, ...]:
        """What is too much of what was claimed for this request a moment ago, by quotas and use as they are now."""
        with self._lock:
            if request.owner is None or request.owner.namespace not in self._quota_use.tenancies():
                return ()  # nothing to hold; not even the store is asked
            return over_quota(request, self.take(store, tables).tenancies, is_counted=True)

    def tenancy(self, namespace: str, store: Store, tables: Tables) -> Tenancy | None:
        """Quotas and use of a namespace; None if it has no quota."""
        with self._lock:
            return self.take(store, tables).tenancies.get(namespace)

    def claims_on(self, host: str, store: Store, tables: Tables) -> tuple[GPUClaim, ...]:
        """The claims on GPUs of that host, by name, whether the store knows the host or not."""
        with self._lock:
            self._catch_up(store, tables)
            claims = self._claims.get(host, {})
            return tuple(claims[name] for name in sorted(claims))

    def committed_on(self, host: str, store: Store, tables: Tables) -> tuple[Commitment, ...]:
        """What VMs take of that host."""
        with self._lock:
            self._catch_up(store, tables)
            return tuple(self._committed.get(host, {}).values())

    def ownerless(self, uids: Iterable[str], store: Store, tables: Tables) -> frozenset[str]:
        """Which of these are the uids of no VM, of either kind."""
        with self._lock:
            self._catch_up(store, tables)
            return frozenset(uids) - self._uids

    def known(self, store: Store, tables: Tables) -> Known:
        """Everything that is known, as it is now."""
        with self._lock:
            fleet = self.take(store, tables)
            return Known(self._mirror.objects, fleet)

    def _catch_up(self, store: Store, tables: Tables) -> None:
        for before, after in self._mirror.catch_up(store):
            known = after or before
            if isinstance(known, GPUHost):
                self._host_changed(known, is_there=after is not None)
            elif isinstance(known, GPUClaim):
                self._claim_changed(before, after)
                self._quota_use.claim_changed(before, after)
            elif isinstance(known, VirtualMachine):
                self._machine_changed(before, after, tables)
                self._quota_use.machine_changed(before, after)
            elif isinstance(known, GPUQuota):
                self._quota_use.quota_changed(before, after)

    def _host_changed(self, host: GPUHost, *, is_there: bool) -> None:
        name = host.metadata.name
        self._touch(name)
        if is_there:
            if name not in self._hosts:
                insort(self._names, name)
            self._hosts[name] = host
        elif self._hosts.pop(name, None) is not None:
            self._names.remove(name)

    def _claim_changed(self, before: Resource | None, after: Resource | None) -> None:
        if before is not None:
            self._claims[before.spec.host].pop(before.metadata.name, None)
            self._touch(before.spec.host)
        if isinstance(after, GPUClaim):
            self._claims[after.spec.host][after.metadata.name] = after
            self._touch(after.spec.host)

    def _machine_changed(self, before: Resource | None, after: Resource | None, tables: Tables) -> None:
        if before is not None and (after is None or after.metadata.uid != before.metadata.uid):
            self._uids.discard(before.metadata.uid)
            self._commit(before.metadata.uid, None)
            self._note_external(before.metadata.uid, "")
        if isinstance(after, VirtualMachine):
            self._uids.add(after.metadata.uid)
            self._commit(after.metadata.uid, _commitment(after, tables))
            self._note_external(after.metadata.uid, after.status.external_address)

    def _commit(self, uid: str, commitment: Commitment | None) -> None:
        before = self._commitments.pop(uid, None)
        if commitment is not None:
            self._commitments[uid] = commitment
        if commitment == before:
            return
        if before is not None:
            self._committed[before.host].pop(uid, None)
            self._touch(before.host)
        if commitment is not None:
            self._committed[commitment.host][uid] = commitment
            self._touch(commitment.host)

    def _note_external(self, uid: str, address: str) -> None:
        if self._external.get(uid, "") != address:
            others = {known: at for known, at in self._external.items() if known != uid}
            self._external = {**others, uid: address} if address else others
            self._fleet = None

    def _touch(self, host: str) -> None:
        self._touched.add(host)
        self._fleet = None

    def _build_loads(self) -> None:
        for name in self._touched:
            self._loads.pop(name, None)
            if name in self._hosts:
                claims, commitments = self._claims.get(name, {}), self._committed.get(name, {})
                self._loads[name] = HostLoad.of(self._hosts[name], claims=claims.values(), commitments=commitments.values())
        self._touched.clear()


def snapshot(store: Store, tables: Tables) -> Fleet:
    """The fleet as it is now, for whoever looks once."""
    return Snapshots().take(store, tables)


def _has_something(vm: VirtualMachine) -> bool:
    """Whether it is scheduled, or is being undone. The phase would say so too late: it is written after the claims."""
    scheduled = find_condition(vm.status.conditions, "Scheduled")
    is_scheduled = scheduled is not None and scheduled.status == "True"
    return is_scheduled or bool(vm.status.stopping_since or vm.status.unwinding)


def _commitment(vm: VirtualMachine, tables: Tables) -> Commitment | None:
    if not _has_something(vm):
        return None
    try:
        return commitment_of(vm, size=guest_size(vm.spec, tables))
    except InvalidInput:
        return None  # an operator took its instance type away; what it runs with is no longer known
