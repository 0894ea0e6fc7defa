"""Step `reserve`: a host for the VM, and a GPUClaim for every GPU. Creating the claim is the lock.

Plans on a snapshot, then creates the claims one by one. If one exists already, or they are more than a quota allows by now,
somebody was faster: what was taken is given back and the plan is made anew, a bounded number of times. Claims made before a
crash are found by their owner label and given back before planning, so that they count as free; those of GPUs that were taken
already go home first, by their own table.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.lifecycle.virtual_machine.attachments import disks_obstacle
from provisioner.lifecycle.virtual_machine.leases import let_go, take_back
from provisioner.lifecycle.virtual_machine.publishing import external_address_for
from provisioner.lifecycle.virtual_machine.view import OWNER_LABEL, VirtualMachineView
from provisioner.model import domain_names
from provisioner.model.cluster import ClusterMachine
from provisioner.model.errors import AlreadyExists, Conflict, NotFound
from provisioner.model.gpu_claim import ClaimOwner, GPUClaim, GPUClaimSpec
from provisioner.model.gpu_host import GpuFacts, GPUHost, claim_name
from provisioner.model.metadata import Metadata, find_condition
from provisioner.model.virtual_machine import GpuAssignment
from provisioner.planning.placement import NoPlacement, Placement
from provisioner.planning.refusals import counted
from provisioner.planning.requests import PlacementRequest, request_for

PLANS_MAX = 5
WAIT_S = 20.0
"""Waiting VMs are woken when capacity is freed; this is for what nobody told us of."""


def reserve_gpus(view: VirtualMachineView) -> Verdict:
    """A host is chosen and every GPU on it that the spec asks for is claimed by this VM."""
    if _holds(view):
        return Done(_sentence(view))
    if view.resource.status.domain and any(claim.status.functions for claim in view.claims()):
        return Abort("SpecChanged", "what it has is not what it needs any more, and its domain is defined: all is undone first")
    let_go(view)
    waiting = disks_obstacle(view)
    if waiting is not None:
        return waiting
    request = _request(view)
    for _ in range(PLANS_MAX):
        with view.ports.snapshots.turn:
            decision = view.ports.snapshots.place(request, view.ports.store, view.ports.tables)
            if isinstance(decision, Placement) and _claim_all(view, decision, request):
                return Done(_sentence(view))
        if isinstance(decision, NoPlacement):
            if _would_fit_elsewhere(view):
                return Abort("MustMove", f"{decision.sentence()}; another host would take it")
            return Retry(WAIT_S, decision.reason, decision.sentence())
    return Retry(1.0, "LostTheRace", f"other VMs were faster {PLANS_MAX} times")


def release_gpus(view: VirtualMachineView) -> Verdict:
    """This VM owns no GPU any more. What guests had goes home by the claims' own table; nothing here waits for it."""
    let_go(view)
    if view.resource.status.gpus or view.resource.status.running_spec is not None:
        view.write(view.condition("Scheduled", "False", "Released"), gpus=(), running_spec=None)
    elif view.holds("Scheduled"):
        view.write(view.condition("Scheduled", "False", "Released"))
    return Done()


def _holds(view: VirtualMachineView) -> bool:
    """Whether the host is chosen, the claims are exactly those of the status and of the spec, and the size is what was planned.

    A domain that was started stays what it is. A GPU that was quarantined or retired since it was claimed is not taken again.
    Claims that were kept when a stop was called off are as good as new, if the host still takes the VM.
    """
    status, claims = view.resource.status, view.claims()
    if not status.host or not (view.holds("Scheduled") or claims):
        return False
    if view.is_on_cluster:  # its claims are made of what the guest reports, later
        return view.holds("Scheduled") and (view.holds("Started") or _is_planned(view))
    claimed = {(claim.spec.host, claim.spec.address) for claim in claims}
    assigned = {(gpu.host, gpu.address) for gpu in status.gpus}
    if claimed != assigned:
        return False
    if view.holds("Started"):
        return True
    if assigned and _barred(view.host) & {address for _, address in assigned}:
        return False
    wanted = sorted(gpu.name for gpu in view.resource.spec.gpus)
    return sorted(gpu.name for gpu in status.gpus) == wanted and _is_planned(view)


def _barred(host: GPUHost) -> set[str]:
    """Addresses of GPUs that nobody may get."""
    return {entry.address for entry in host.status.quarantined} | set(host.spec.retired)


def _is_offered(host: GPUHost, addresses: Sequence[str]) -> bool:
    return not (host.spec.cordoned or host.is_being_deleted or _barred(host) & set(addresses))


def _is_planned(view: VirtualMachineView) -> bool:
    """Whether the plan was made for this generation of the spec, or is right for it too."""
    scheduled, generation = find_condition(view.resource.status.conditions, "Scheduled"), view.resource.metadata.generation
    if scheduled is not None and scheduled.status == "True" and scheduled.observed_generation == generation:
        return True
    host = view.resource.status.host
    decision = view.ports.snapshots.place(_request(view), view.ports.store, view.ports.tables)
    if isinstance(decision, Placement) and decision.host == host:
        view.write(view.condition("Scheduled", "True", "Done", _sentence(view)))
        return True
    return False


def _request(view: VirtualMachineView, *, host: str | None = None) -> PlacementRequest:
    """What the VM asks for; with another host than its own, as if that were its own (empty: as if it had none)."""
    vm = view.resource if host is None else view.resource.with_status(host=host)
    return request_for(vm, size=view.size, tables=view.ports.tables, vm_disks=view.disks, firmware=view.firmware)


def _would_fit_elsewhere(view: VirtualMachineView) -> bool:
    """Whether only what an attempt without success left on its host keeps the VM from another one: that is undone then."""
    return bool(home_elsewhere(view))


def home_elsewhere(view: VirtualMachineView) -> str:
    """The host that would take a VM that has one and was never Ready there, as if it had none; empty: no host would."""
    if not view.resource.status.host or view.resource.status.first_ready:
        return ""
    decision = view.ports.snapshots.place(_request(view, host=""), view.ports.store, view.ports.tables)
    return decision.host if isinstance(decision, Placement) else ""


def _claim_all(view: VirtualMachineView, placement: Placement, request: PlacementRequest) -> bool:
    """Create every claim and write down the outcome; False if one was taken, and nothing is kept then.

    The host is looked at once more under the claims: what an operator took out of service while the plan was made stays there.
    So are the quotas: of two processes that planned at once for one namespace, the later one sees the claims of both. A promise
    of a cluster, which makes no claims yet, is seen once it is written down, so it is looked at after that.
    """
    store = view.ports.store
    host = store.get(GPUHost, placement.host)
    facts = {gpu.address: gpu for gpu in host.status.gpus}
    created: list[GPUClaim] = []
    try:
        for address in placement.gpus:
            created.append(store.create(_claim(view, host.metadata.name, facts[address])))  # noqa: PERF401  # known one by one
        is_offered = _is_offered(store.get(GPUHost, placement.host), placement.gpus)
        if not is_offered or view.ports.snapshots.over_quota(request, store, view.ports.tables):
            take_back(view, created)
            return False
        view.write(
            view.condition("Scheduled", "True", "Done"),
            host=host.metadata.name,
            gpus=tuple(_assignment(host.metadata.name, facts[address]) for address in placement.gpus),
            external_address=external_address_for(view, host.metadata.name),
            machine=_machine(view, host),
        )
    except AlreadyExists:
        take_back(view, created)
        return False
    except (Conflict, NotFound):  # whoever wrote first has reserved for this VM, or it is gone
        take_back(view, created)
        raise
    if not created and view.ports.snapshots.over_quota(request, store, view.ports.tables):
        release_gpus(view)
        return False
    view.tell("Scheduled", _sentence(view))
    return True


def _machine(view: VirtualMachineView, host: GPUHost) -> ClusterMachine | None:
    """Where its machine is or shall be; none on a host that is no cluster. One that is there stays where it is."""
    if not host.spec.is_cluster:
        return None
    namespace = host.spec.cluster.namespace
    name = domain_names.machine_name(view.key, with_namespace=bool(namespace))
    return view.resource.status.machine or ClusterMachine(namespace=namespace or view.key.namespace, name=name)


def _claim(view: VirtualMachineView, host: str, gpu: GpuFacts) -> GPUClaim:
    vm = view.resource.metadata
    owner = ClaimOwner(kind=view.resource.kind, namespace=vm.namespace, name=vm.name, uid=vm.uid)
    return GPUClaim(
        metadata=Metadata(
            name=claim_name(host, gpu.address),
            labels={OWNER_LABEL: vm.uid},
            # No owner reference: a claim must outlive a VM that is removed by force, since it knows the drivers to restore.
        ),
        spec=GPUClaimSpec(host=host, address=gpu.address, gpu_name=gpu.name, owner=owner),
    )


def _assignment(host: str, gpu: GpuFacts) -> GpuAssignment:
    companions = tuple(companion.address for companion in gpu.companions)
    return GpuAssignment(name=gpu.name, host=host, address=gpu.address, companions=companions)


def _sentence(view: VirtualMachineView) -> str:
    host = view.resource.status.host
    if view.is_on_cluster:
        count = len(view.resource.spec.gpus)
        return f"{host}, with room for {counted(count, 'GPU')} by its last survey" if count else host
    gpus = ", ".join(gpu.address for gpu in view.resource.status.gpus)
    return f"{host}, GPU {gpus}" if gpus else host
