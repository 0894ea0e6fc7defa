"""The fleet at one moment: what every host has, what is taken, and so what is free. The one place that computes it.

A GPU is free if and only if it has no GPUClaim: one that its owner has let go of is being cleaned. Memory and vCPUs are
committed by VMs whose status names a host, claims or not; whoever takes the snapshot says which VMs count. Nothing here
decides; `placement` does.

    free GPUs   = inventory - claims - retired - quarantined - unhealthy - bound up with others in an IOMMU group
    free memory = memory - reserved - (guests and their overhead)
    free vCPUs  = CPUs x ratio - vCPUs of guests
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GpuFacts, GpuHealth, GPUHost, GpuState
from provisioner.model.metadata import Key
from provisioner.model.pci import slot_of
from provisioner.planning.addresses import choose_external
from provisioner.planning.commitments import Commitment as Commitment
from provisioner.planning.commitments import commitment_of as commitment_of
from provisioner.planning.nodes import CPU_MILLI_PER_VCPU, NodeView, all_by_model, free_by_model, node_views
from provisioner.planning.policy import PlacementPolicy
from provisioner.planning.quotas import Tenancy


@dataclass(frozen=True, slots=True)
class GpuView:
    """One GPU as placement sees it."""

    facts: GpuFacts
    state: GpuState
    owner: Key | None = None
    """Who has claimed it; nobody while it is being cleaned."""
    is_own: bool = False
    """Claimed by the VM that is being placed, which may take it again."""
    in_the_way: tuple[str, ...] = ()
    """Functions of its IOMMU group that belong to another card, by address; it cannot be passed without them."""

    @property
    def is_healthy(self) -> bool:
        """Whether the host side finds nothing wrong with it."""
        return self.facts.health is GpuHealth.OK

    @property
    def is_free(self) -> bool:
        """Whether the VM that is being placed may have it."""
        is_barred = self.state in (GpuState.QUARANTINED, GpuState.RETIRED)
        has_no_owner = self.state is GpuState.FREE or (self.is_own and not is_barred)
        return has_no_owner and self.is_healthy and not self.in_the_way and self.facts.iommu_group is not None


def gpu_state(facts: GpuFacts, *, host: GPUHost, claim: GPUClaim | None) -> GpuState:
    """The word for tables. Retirement, then quarantine, outweigh a claim; health is beside it, in `facts.health`."""
    if facts.address in (*host.spec.retired, *host.status.retired):
        return GpuState.RETIRED
    if any(entry.address == facts.address for entry in host.status.quarantined):
        return GpuState.QUARANTINED
    if claim is None:
        return GpuState.FREE
    if claim.is_released:
        return GpuState.CLEANING
    return GpuState.DRAINING if host.spec.cordoned or host.is_being_deleted else GpuState.CLAIMED


def foreign_members(facts: GpuFacts) -> tuple[str, ...]:
    """Members of the GPU's IOMMU group that are no function of the same card: another GPU, a disk, a network card."""
    return tuple(other.address for other in facts.companions if slot_of(other.address) != slot_of(facts.address))


@dataclass(frozen=True, slots=True)
class HostView:
    """One host, seen for one VM: that VM's own claims and commitment count as free."""

    host: GPUHost
    gpus: tuple[GpuView, ...]
    memory_mib: int
    """What guests may have in all: the host's memory less what is reserved for itself."""
    free_memory_mib: int
    vcpus: int
    """What guests may have in all."""
    free_vcpus: int
    free_memory_of_node_mib: Mapping[int, int] = field(default_factory=dict)
    """By NUMA node; an estimate, since guests without a node take memory anywhere."""
    external_address: str = ""
    """The one that this VM has there or would get; empty: none is left, or there never was one."""
    nodes: tuple[NodeView, ...] = ()
    """Of a KubeVirt cluster, by name."""
    is_home: bool = False
    """Of a KubeVirt cluster: whether it has promised the VM its place already."""

    @property
    def name(self) -> str:
        """The host's name."""
        return self.host.metadata.name

    @property
    def free_gpus(self) -> Counter[str]:
        """How many GPUs of each canonical name are free."""
        if self.host.spec.is_cluster:
            return free_by_model(self.host, self.nodes)
        return Counter(gpu.facts.name for gpu in self.gpus if gpu.is_free)

    @property
    def all_gpus(self) -> Counter[str]:
        """How many GPUs of each canonical name there are."""
        if self.host.spec.is_cluster:
            return all_by_model(self.host)
        return Counter(gpu.facts.name for gpu in self.gpus)


@dataclass(frozen=True, slots=True)
class HostLoad:
    """One host, and all that is taken of it. Build it with `of`."""

    host: GPUHost
    claims: tuple[GPUClaim, ...] = ()
    """By name."""
    commitments: tuple[Commitment, ...] = ()
    """By owner."""
    uids: frozenset[str] = frozenset()
    """Of every VM that has something there."""

    @classmethod
    def of(cls, host: GPUHost, *, claims: Iterable[GPUClaim] = (), commitments: Iterable[Commitment] = ()) -> HostLoad:
        """In one fixed order whatever the order given."""
        claims = tuple(sorted(claims, key=lambda claim: claim.metadata.name))
        commitments = tuple(sorted(commitments, key=lambda known: known.owner))
        uids = frozenset((*(claim.spec.owner.uid for claim in claims), *(known.owner_uid for known in commitments)))
        return cls(host, claims, commitments, uids)

    @property
    def name(self) -> str:
        """The host's name."""
        return self.host.metadata.name

    def view(self, *, policy: PlacementPolicy, for_uid: str = "", external_address: str = "") -> HostView:
        """The host as the VM of that uid sees it (empty: as a newcomer does)."""
        host, status = self.host, self.host.status
        if host.spec.is_cluster:
            return self._cluster_view(for_uid)
        claims = {claim.spec.address: claim for claim in self.claims}
        others = [known for known in self.commitments if known.owner_uid != for_uid]
        usable_mib = max(0, status.memory_mib - host.spec.reserved_memory_mib)
        taken = {known.owner_uid: _taken_mib(known, policy) for known in others}
        capacity = policy.vcpu_capacity(host)
        return HostView(
            host=host,
            gpus=tuple(_gpu_view(facts, host=host, claim=claims.get(facts.address), for_uid=for_uid) for facts in status.gpus),
            memory_mib=usable_mib,
            free_memory_mib=usable_mib - sum(taken.values()),
            vcpus=capacity,
            free_vcpus=capacity - sum(known.vcpus for known in others),
            free_memory_of_node_mib=_free_by_node(host, claims=claims, taken_mib=taken),
            external_address=external_address,
        )

    def _cluster_view(self, for_uid: str) -> HostView:
        """The sums over all nodes that take machines; what fits is decided node by node."""
        nodes = node_views(self.host, self.commitments, for_uid=for_uid)
        open_to_machines = [view for view in nodes if view.node.schedulable]
        return HostView(
            host=self.host,
            gpus=(),
            memory_mib=sum(view.node.memory_mib for view in open_to_machines),
            free_memory_mib=sum(view.free_memory_mib for view in open_to_machines),
            vcpus=sum(view.node.cpu_milli for view in open_to_machines) // CPU_MILLI_PER_VCPU,
            free_vcpus=sum(view.free_cpu_milli for view in open_to_machines) // CPU_MILLI_PER_VCPU,
            nodes=nodes,
            is_home=bool(for_uid) and any(known.owner_uid == for_uid for known in self.commitments),
        )


@dataclass(frozen=True, slots=True)
class Fleet:
    """A snapshot. Build it from one reading of the store; every function of planning takes it as it is."""

    loads: tuple[HostLoad, ...]
    """By the host's name. What is taken of hosts that the store does not know is not in it."""
    external_addresses: Mapping[str, str] = field(default_factory=dict)
    """Those that VMs have, stopped ones included, by the uid of the VM."""
    tenancies: Mapping[str, Tenancy] = field(default_factory=dict)
    """Quotas and use of every namespace that has a quota."""

    @classmethod
    def of(
        cls,
        hosts: Iterable[GPUHost],
        *,
        claims: Iterable[GPUClaim] = (),
        commitments: Iterable[Commitment | None] = (),
        external_addresses: Mapping[str, str] | None = None,
        tenancies: Mapping[str, Tenancy] | None = None,
    ) -> Fleet:
        """The snapshot, in one fixed order whatever the order given; None among the commitments is a VM without a host."""
        claims_on: defaultdict[str, list[GPUClaim]] = defaultdict(list)
        for claim in claims:
            claims_on[claim.spec.host].append(claim)
        committed_on: defaultdict[str, list[Commitment]] = defaultdict(list)
        for known in commitments:
            if known is not None:
                committed_on[known.host].append(known)
        by_name = sorted(((host.metadata.name, host) for host in hosts), key=lambda pair: pair[0])
        loads = (HostLoad.of(host, claims=claims_on[name], commitments=committed_on[name]) for name, host in by_name)
        return cls(tuple(loads), dict(external_addresses or {}), dict(tenancies or {}))

    @property
    def hosts(self) -> tuple[GPUHost, ...]:
        """By name."""
        return tuple(load.host for load in self.loads)

    @property
    def claims(self) -> tuple[GPUClaim, ...]:
        """Of all hosts."""
        return tuple(claim for load in self.loads for claim in load.claims)

    @property
    def commitments(self) -> tuple[Commitment, ...]:
        """Of all hosts."""
        return tuple(known for load in self.loads for known in load.commitments)

    def external_address(self, host: GPUHost, *, for_uid: str) -> str:
        """The address that this VM has of those that the host offers, else the first that no VM of the fleet has; or empty."""
        if not host.spec.external_addresses:
            return ""
        taken = {address for uid, address in self.external_addresses.items() if uid != for_uid}
        before = self.external_addresses.get(for_uid, "")
        return choose_external(host.spec.external_addresses, taken=taken, before=before) or ""

    def views(self, *, policy: PlacementPolicy, for_uid: str = "") -> tuple[HostView, ...]:
        """Every host, by name, as the VM of that uid sees it (empty: as a newcomer does)."""
        return tuple(self.view(load, policy=policy, for_uid=for_uid) for load in self.loads)

    def view(self, load: HostLoad, *, policy: PlacementPolicy, for_uid: str = "") -> HostView:
        """One of its hosts, as the VM of that uid sees it."""
        address = self.external_address(load.host, for_uid=for_uid)
        return load.view(policy=policy, for_uid=for_uid, external_address=address)


def _gpu_view(facts: GpuFacts, *, host: GPUHost, claim: GPUClaim | None, for_uid: str) -> GpuView:
    owner = claim.spec.owner if claim and not claim.is_released else None
    return GpuView(
        facts=facts,
        state=gpu_state(facts, host=host, claim=claim),
        owner=owner.key if owner else None,
        is_own=bool(owner and for_uid and owner.uid == for_uid),
        in_the_way=foreign_members(facts),
    )


def _taken_mib(known: Commitment, policy: PlacementPolicy) -> int:
    return policy.committed_mib(memory_mib=known.memory_mib, vcpus=known.vcpus, gpus=known.gpus)


def _free_by_node(host: GPUHost, *, claims: Mapping[str, GPUClaim], taken_mib: Mapping[str, int]) -> dict[int, int]:
    """A guest whose GPUs all sit on one node is counted there; everything else in proportion to the nodes' memory."""
    nodes = {node.id: node.memory_mib for node in host.status.numa_nodes}
    total = sum(nodes.values())
    if not total:
        return {}
    node_of_gpu = {facts.address: facts.numa_node for facts in host.status.gpus}
    nodes_of: dict[str, set[int | None]] = {}
    for address, claim in claims.items():
        if claim.is_released:
            continue
        nodes_of.setdefault(claim.spec.owner.uid, set()).add(node_of_gpu.get(address))
    spread = host.spec.reserved_memory_mib
    for uid, amount in taken_mib.items():
        homes = nodes_of.get(uid, set())
        home = next(iter(homes)) if len(homes) == 1 else None
        if home in nodes:
            nodes[home] -= amount
        else:
            spread += amount
    return {node.id: nodes[node.id] - -(-spread * node.memory_mib // total) for node in host.status.numa_nodes}
