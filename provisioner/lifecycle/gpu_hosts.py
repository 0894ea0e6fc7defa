"""The life of a GPUHost: reached, surveyed, its KVM proven; looked at again on a period and on events, and never given up.

    reach -> survey -> prove -> sweep

A host leaves nothing behind on the hypervisor, so there is nothing to undo; its removal waits for the VMs and claims on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.lifecycle.background import Running
from provisioner.lifecycle.hypervisors import WatchedHypervisor
from provisioner.lifecycle.orphans import sweep_orphans
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.steps import UNBOUNDED, Lifecycle, Step, nothing
from provisioner.lifecycle.verdicts import Done, Retry, Verdict
from provisioner.lifecycle.view import View
from provisioner.model.catalogue import GpuCatalogue
from provisioner.model.clock import seconds
from provisioner.model.errors import HostUnreachable, NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GpuFacts, GpuHealth, GPUHost, GPUHostStatus
from provisioner.model.metadata import Key, Resource
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from provisioner.model.vm_disk import VMDisk
from provisioner.planning.refusals import counted
from provisioner.store.protocol import Change, ChangeType

FINALIZER = "hikube.cloud/host"
KVM_TIMEOUT_S = 90.0
AWAY_RETRY_S = 10.0
REMOVAL_RETRY_S = 30.0
KEPT = frozenset({"conditions", "steps", "observed_generation", "quarantined", "kvm"})
"""Fields of the status that a survey does not know."""


class GPUHostView(View[GPUHost]):
    """A host during one pass."""

    @cached_property
    def hypervisor(self) -> Hypervisor:
        """A connection to it."""
        return WatchedHypervisor.over(self.ports.connections, self.resource.spec.uri)


def reach(view: GPUHostView) -> Verdict:
    """The host answers, and tells us what happens on it."""
    try:
        view.ports.host_watch.listen(view.key, view.hypervisor)
    except HostUnreachable as error:
        view.write(reachable=False)
        return Retry(AWAY_RETRY_S, "HostUnreachable", str(error))
    return Done(view.resource.spec.uri)


def survey(view: GPUHostView) -> Verdict:
    """What the host has is written down, fresh from the host."""
    found = surveyed(view.resource, view.hypervisor, view.ports.tables.gpus)
    claims = view.ports.store.list(GPUClaim).items
    claimed = {claim.spec.address for claim in claims if claim.spec.host == view.resource.metadata.name}
    gpus = (*found.gpus, *_missing(view.resource.status.gpus, found.gpus, claimed))
    changes = {name: getattr(found, name) for name in type(found).model_fields if name not in KEPT}
    view.write(**changes | {"gpus": gpus, "reachable": True, "last_seen": view.ports.now()})
    return Done(f"{counted(len(found.gpus), 'GPU')}, {found.memory_mib // 1024} GiB, {counted(found.cpus, 'CPU')}")


def surveyed(host: GPUHost, hypervisor: Hypervisor, catalogue: GpuCatalogue) -> GPUHostStatus:
    """A look at the host, with its GPUs under the names of the catalogue."""
    found = hypervisor.inventory.survey(host.spec.gpu_rules)
    gpus = tuple(gpu.model_copy(update={"name": catalogue.name_for_id(gpu.function.id)}) for gpu in found.gpus)
    return found.model_copy(update={"gpus": gpus, "reachable": True})


def prove(view: GPUHostView) -> Verdict:
    """It is known whether KVM really runs guests here.

    A "yes" stays. A "no" is tried again with every refresh, since a loaded host may be too slow once and an administrator may
    mend it; it holds until the next answer. A probe that the host did not answer (HostTimeout) is no answer.
    """
    known = view.resource.status.kvm
    if known.works or (known.works is False and not _is_due(view, known.checked)):
        return Done(known.message)
    hypervisor, timeout_s = view.hypervisor, KVM_TIMEOUT_S * view.ports.time_scale
    outcome = view.ports.background.run(
        f"prove KVM on {view.resource.metadata.name} ({view.resource.metadata.uid})",
        lambda _meter: hypervisor.inventory.prove_kvm(timeout_s=timeout_s),
    )
    if isinstance(outcome, Running):
        return Retry(1.0, "Proving", "starting a tiny guest under KVM")
    verdict = outcome.result.model_copy(update={"checked": view.ports.now()})
    view.write(kvm=verdict)
    if verdict.works is None:
        return Retry(AWAY_RETRY_S, "NotProven", verdict.message)
    if not verdict.works:
        view.tell("KvmDoesNotWork", verdict.message, warning=True)
    return Done(verdict.message)


def _is_due(view: GPUHostView, last: str) -> bool:
    """Whether what was last done then is to be done again, by the host's own period."""
    return not last or view.ports.clock.now_s() - seconds(last) >= view.resource.spec.refresh_interval_s


def sweep(view: GPUHostView) -> Verdict:
    """No domain of ours runs there without a living owner."""
    return sweep_orphans(view, view.hypervisor)


GPU_HOST: Lifecycle[GPUHostView] = Lifecycle(
    Step("reach", do=reach, undo=nothing, within=lambda _: UNBOUNDED, sets="Reachable"),
    Step("survey", do=survey, undo=nothing, within=lambda _: UNBOUNDED, sets="Surveyed"),
    # The probe removes its own guest, also when it fails.
    Step("prove", do=prove, undo=nothing, within=lambda _: UNBOUNDED, sets="KvmProven"),
    # What is swept away is gone.
    Step("sweep", do=sweep, undo=nothing, within=lambda _: UNBOUNDED, sets="Swept"),
)


class GPUHostReconciler:
    """Owns GPUHost."""

    kinds: tuple[type[Resource], ...] = (GPUHost,)

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._settled: dict[Key, set[str]] = {}
        self._generations: dict[Key, tuple[int, bool]] = {}

    def reconcile(self, key: Key) -> float | None:
        """Survey if it is due, and finish what is not known yet."""
        try:
            view = GPUHostView(self._ports.store.get(GPUHost, key.name), self._ports)
        except NotFound:
            self._settled.pop(key, None)
            self._generations.pop(key, None)
            self._ports.host_watch.forget_host(key)
            return None
        if view.resource.is_being_deleted:
            return self._remove(view)
        view.ensure_finalizer(FINALIZER)
        return self._keep_fresh(view)

    def concerns(self, change: Change) -> tuple[Key, ...]:
        """Own changes of spec; a VM or claim that goes may let a host go that waits for it.

        A claim whose functions changed drivers, or that goes, makes a survey of its host due, in its time.
        """
        resource = change.resource
        if isinstance(resource, GPUClaim) and _has_moved_drivers(change.type, resource):
            self._ports.host_watch.ask_survey(Key(GPUHost.KIND, "", resource.spec.host))
        if isinstance(resource, GPUHost):
            state = (resource.metadata.generation, resource.is_being_deleted)
            is_news = change.type is not ChangeType.MODIFIED or self._generations.get(resource.key) != state
            self._generations[resource.key] = state
            return (resource.key,) if is_news else ()
        if change.type is ChangeType.DELETED and isinstance(resource, GPUClaim | VirtualMachine | VMDisk):
            return tuple(key for key, (_, is_leaving) in self._generations.items() if is_leaving)
        return ()

    def group_of(self, key: Key) -> str:
        """The host itself."""
        return key.name

    def _keep_fresh(self, view: GPUHostView) -> float:
        status, spec, watch = view.resource.status, view.resource.spec, self._ports.host_watch
        age_s = self._age_s(status)
        is_changed = status.observed_generation != view.resource.metadata.generation
        is_asked = watch.survey_due_in_s(view.key) <= 0
        if age_s >= spec.refresh_interval_s or is_changed or not status.reachable or is_asked:
            self._settled.pop(view.key, None)
            watch.survey_begins(view.key)
        elif all(view.holds(step.sets) for step in GPU_HOST.steps):
            if watch.listens_to(view.key):
                return self._next_look_s(view)
            self._settled[view.key] = {"survey", "prove"}  # as an earlier process left it: only listen
        verdict = GPU_HOST.advance(view, settled=self._settled.setdefault(view.key, set()))
        if isinstance(verdict, Retry):
            view.write(view.condition("Ready", "False", verdict.reason, verdict.message))
            return verdict.after_s
        if not isinstance(verdict, Done):
            view.write(view.condition("Ready", "False", "Refused", verdict.message), reachable=False)
            return float(spec.refresh_interval_s)
        view.write(view.condition("Ready", "True", "Done"))
        return self._next_look_s(view)

    def _age_s(self, status: GPUHostStatus) -> float:
        return self._ports.clock.now_s() - seconds(status.last_seen) if status.last_seen else float("inf")

    def _next_look_s(self, view: GPUHostView) -> float:
        """Seconds until the survey that is due by the period, or earlier because an event asked for one."""
        left_s = view.resource.spec.refresh_interval_s - self._age_s(view.resource.status)
        return max(0.0, min(left_s, self._ports.host_watch.survey_due_in_s(view.key)))

    def _remove(self, view: GPUHostView) -> float | None:
        users = users_of(view.resource.metadata.name, self._ports)
        if users:
            again_s = self._keep_fresh(view)  # what has to go from it can only be seen by looking
            view.write(view.condition("Ready", "False", "InUse", f"waits for {', '.join(users[:5])}"))
            return min(REMOVAL_RETRY_S, again_s)
        if (waiting := _last_sweep(view)) is not None:
            view.write(view.condition("Ready", "False", waiting.reason, waiting.message))
            return waiting.after_s
        if FINALIZER in view.resource.metadata.finalizers:
            view.remove_finalizer(FINALIZER)
        return None


def _has_moved_drivers(change: ChangeType, claim: GPUClaim) -> bool:
    """A new claim has not, nor has one that only recorded what it is about to bind; one that goes may have."""
    is_settled = bool(claim.status.functions) == claim.status.bound
    return change is ChangeType.DELETED or (change is ChangeType.MODIFIED and is_settled)


def _last_sweep(view: GPUHostView) -> Retry | None:
    """Why the host is not clean yet: added again, it would take what is left for a stranger's. A dead host is not asked."""
    try:
        verdict = sweep_orphans(view, view.hypervisor)
    except HostUnreachable:
        return None
    return verdict if isinstance(verdict, Retry) else None


def users_of(host: str, ports: Ports) -> tuple[str, ...]:
    """Names of VMs, claims and VMDisks that need this host."""
    machines = (*ports.store.list(VirtualMachine).items, *ports.store.list(VMInstance).items)
    claims = ports.store.list(GPUClaim).items
    return (
        *(str(machine.key) for machine in machines if machine.status.host == host),
        *(str(claim.key) for claim in claims if claim.spec.host == host),
        *(str(disk.key) for disk in ports.store.list(VMDisk).items if disk.status.host == host),
    )


def survey_host(host: GPUHost, ports: Ports) -> GPUHost:
    """The host with a fresh survey in its status, not stored: an immediate answer for whoever adds it.

    Raises: HostUnreachable, NotAllowed, InvalidInput and whatever the hypervisor says.
    """
    hypervisor = ports.connector.connect(host.spec.uri)
    found = surveyed(host, hypervisor, ports.tables.gpus)
    return host.model_copy(update={"status": found.model_copy(update={"last_seen": ports.now()})})


def _missing(before: Iterable[GpuFacts], now: Iterable[GpuFacts], claimed: set[str]) -> tuple[GpuFacts, ...]:
    """GPUs that are owned and not there any more: kept in the list, so that their loss can be seen."""
    seen = {gpu.address for gpu in now}
    changes = {"health": GpuHealth.MISSING, "health_message": "the host does not show it any more"}
    lost = (gpu for gpu in before if gpu.address not in seen and gpu.address in claimed)
    return tuple(gpu.model_copy(update=changes) for gpu in lost)
