"""The life of a GPUHost: reached, surveyed, examined, its KVM proven; looked at again on a period and on events, for ever.

    reach -> survey -> examine -> prove -> sweep      then: GPUs kept on vfio-pci, requests of operators about single GPUs

A KubeVirt cluster has a table of its own (kubevirt/hosts.py), driven here. A host leaves nothing behind on the hypervisor, so
there is nothing to undo; its removal waits for the VMs and claims on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.lifecycle.background import Running
from provisioner.lifecycle.examining import EXAMINED, EXAMINING, examine_host
from provisioner.lifecycle.gpu_release import handle_requests, pending_requests
from provisioner.lifecycle.hypervisors import WatchedHypervisor
from provisioner.lifecycle.kubevirt.hosts import CLUSTER_HOST, ClusterView
from provisioner.lifecycle.kubevirt.sweeping import sweep_machines
from provisioner.lifecycle.orphans import sweep_orphans
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.retirement import follow_retirement
from provisioner.lifecycle.steps import UNBOUNDED, Lifecycle, Step, nothing
from provisioner.lifecycle.surveying import KEPT, claimed_on, surveyed, with_survey
from provisioner.lifecycle.verdicts import Done, Retry, Verdict
from provisioner.lifecycle.vfio_keeping import keep_gpus_on_vfio
from provisioner.lifecycle.view import View
from provisioner.model.errors import HostUnreachable, NotFound
from provisioner.model.gpu_check import requests_of
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Key, Resource
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from provisioner.model.vm_disk import VMDisk
from provisioner.planning.doctor.host_table import INSIDE
from provisioner.planning.refusals import counted
from provisioner.store.protocol import Change, ChangeType

FINALIZER = "hikube.cloud/host"
KVM_TIMEOUT_S = 90.0
AWAY_RETRY_S = 10.0
REMOVAL_RETRY_S = 30.0
TROUBLED_S = 30.0
"""Between two looks at a host with an error: whoever mends it, or ends the process that had the GPU, need not tell us."""


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
    status = with_survey(view.resource, found, claimed=claimed_on(view.resource.metadata.name, view.ports)).status
    changes = {name: getattr(status, name) for name in type(status).model_fields if name not in KEPT}
    view.write(**changes | {"last_seen": view.ports.now()})
    return Done(f"{counted(len(found.gpus), 'GPU')}, {found.memory_mib // 1024} GiB, {counted(found.cpus, 'CPU')}")


def examine(view: GPUHostView) -> Verdict:
    """It is known what the host looks like from inside, or why not; see examining.py."""
    return examine_host(view, view.hypervisor)


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
        waiter=view.key,
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
    return view.ports.age_s(last) >= view.resource.spec.refresh_interval_s


def sweep(view: GPUHostView) -> Verdict:
    """No domain of ours runs there without a living owner."""
    return sweep_orphans(view, view.hypervisor)


GPU_HOST: Lifecycle[GPUHostView] = Lifecycle(
    Step("reach", do=reach, undo=nothing, within=lambda _: UNBOUNDED, sets="Reachable"),
    Step("survey", do=survey, undo=nothing, within=lambda _: UNBOUNDED, sets="Surveyed"),
    # Nothing is changed by looking.
    Step("examine", do=examine, undo=nothing, within=lambda _: UNBOUNDED, sets=EXAMINED),
    # The probe removes its own guest, also when it fails.
    Step("prove", do=prove, undo=nothing, within=lambda _: UNBOUNDED, sets="KvmProven"),
    # What is swept away is gone.
    Step("sweep", do=sweep, undo=nothing, within=lambda _: UNBOUNDED, sets="Swept"),
)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What of a host is worth a pass; its status is not."""

    generation: int
    is_leaving: bool
    requests: Mapping[str, str]


class GPUHostReconciler:
    """Owns GPUHost."""

    kinds: tuple[type[Resource], ...] = (GPUHost,)

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._settled: dict[Key, set[str]] = {}
        self._seen: dict[Key, _Seen] = {}

    def reconcile(self, key: Key) -> float | None:
        """Survey if it is due, and finish what is not known yet."""
        try:
            view = _view(self._ports.store.get(GPUHost, key.name), self._ports)
        except NotFound:
            self._settled.pop(key, None)
            self._seen.pop(key, None)
            self._ports.host_watch.forget_host(key)
            return None
        if view.resource.is_being_deleted:
            return self._remove(view)
        view.ensure_finalizer(FINALIZER)
        if isinstance(view, ClusterView):
            return self._keep_fresh(view)
        follow_retirement(view)
        return self._with_requests(view, self._with_vfio(view, self._keep_fresh(view)))

    def concerns(self, change: Change) -> tuple[Key, ...]:
        """Own changes of spec, and requests about GPUs; a VM or claim that goes may let a host go that waits for it.

        A claim whose functions changed drivers, or that goes, makes a survey of its host due, in its time.
        """
        resource = change.resource
        if isinstance(resource, GPUClaim) and _has_moved_drivers(change.type, resource):
            self._ports.host_watch.ask_survey(Key(GPUHost.KIND, "", resource.spec.host))
        if isinstance(resource, GPUHost):
            seen = _Seen(resource.metadata.generation, resource.is_being_deleted, requests_of(resource.metadata.annotations))
            is_news = change.type is not ChangeType.MODIFIED or self._seen.get(resource.key) != seen
            self._seen[resource.key] = seen
            return (resource.key,) if is_news else ()
        if change.type is ChangeType.DELETED and isinstance(resource, GPUClaim | VirtualMachine | VMDisk):
            return tuple(key for key, seen in self._seen.items() if seen.is_leaving)
        return ()

    def group_of(self, key: Key) -> str:
        """The host itself."""
        return key.name

    def _keep_fresh(self, view: GPUHostView | ClusterView) -> float:
        status, spec, watch = view.resource.status, view.resource.spec, self._ports.host_watch
        age_s = self._ports.age_s(status.last_seen)
        is_changed = status.observed_generation != view.resource.metadata.generation
        is_asked = watch.survey_due_in_s(view.key) <= 0
        if age_s >= _period_s(view.resource) or is_changed or not status.reachable or is_asked:
            self._settled.pop(view.key, None)
            watch.survey_begins(view.key)
        elif all(view.holds(step.sets) for step in (CLUSTER_HOST if view.resource.spec.is_cluster else GPU_HOST).steps):
            if watch.listens_to(view.key):
                return self._next_look_s(view)
            self._settled[view.key] = {"survey", "examine", "prove"}  # as an earlier process left it: only listen
        settled = self._settled.setdefault(view.key, set())
        if isinstance(view, ClusterView):
            verdict = CLUSTER_HOST.advance(view, settled=settled)
        else:
            verdict = GPU_HOST.advance(view, settled=settled)
        if isinstance(verdict, Retry):
            if verdict.reason != EXAMINING or not view.holds("Ready"):  # to be looked at once more makes no host unready
                view.write(view.condition("Ready", "False", verdict.reason, verdict.message))
            return verdict.after_s
        if not isinstance(verdict, Done):
            view.write(view.condition("Ready", "False", "Refused", verdict.message), reachable=False)
            return float(spec.refresh_interval_s)
        view.write(view.condition("Ready", "True", "Done"))
        return self._next_look_s(view)

    def _with_vfio(self, view: GPUHostView, again_s: float) -> float:
        """The operator's choice to keep GPUs on vfio-pci, once the host answers."""
        if not view.resource.spec.keep_on_vfio or not view.resource.status.reachable:
            return again_s
        waits_s = keep_gpus_on_vfio(view, view.hypervisor)
        return again_s if waits_s is None else min(again_s, waits_s)

    def _with_requests(self, view: GPUHostView, again_s: float) -> float:
        """What an operator asked of single GPUs, once the host answers."""
        if not view.resource.status.reachable or not pending_requests(view.resource):
            return again_s
        waits_s = handle_requests(view, view.hypervisor)
        return again_s if waits_s is None else min(again_s, waits_s)

    def _next_look_s(self, view: View[GPUHost]) -> float:
        """Seconds until the survey that is due by the period, or earlier because an event asked for one."""
        left_s = _period_s(view.resource) - self._ports.age_s(view.resource.status.last_seen)
        return max(0.0, min(left_s, self._ports.host_watch.survey_due_in_s(view.key)))

    def _remove(self, view: GPUHostView | ClusterView) -> float | None:
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


def _view(host: GPUHost, ports: Ports) -> GPUHostView | ClusterView:
    """By what the host is; each has a table of its own."""
    return ClusterView(host, ports) if host.spec.is_cluster else GPUHostView(host, ports)


def _period_s(host: GPUHost) -> float:
    """Seconds between two looks; shorter while something is wrong that a look can show to be right again."""
    is_troubled = any(finding.severity == "error" and finding.code != INSIDE for finding in host.status.findings)
    return min(host.spec.refresh_interval_s, TROUBLED_S) if is_troubled else float(host.spec.refresh_interval_s)


def _has_moved_drivers(change: ChangeType, claim: GPUClaim) -> bool:
    """A new claim has not, nor has one that recorded what it is about to bind, or is being cleaned; one that goes may have."""
    is_settled = bool(claim.status.functions) == claim.status.bound and not claim.is_released
    return change is ChangeType.DELETED or (change is ChangeType.MODIFIED and is_settled)


def _last_sweep(view: GPUHostView | ClusterView) -> Retry | None:
    """Why the host is not clean yet: added again, it would take what is left for a stranger's. A dead host is not asked."""
    try:
        verdict = _swept(view)
    except HostUnreachable:
        return None
    return verdict if isinstance(verdict, Retry) else None


def _swept(view: GPUHostView | ClusterView) -> Verdict:
    return sweep_machines(view, view.cluster) if isinstance(view, ClusterView) else sweep_orphans(view, view.hypervisor)


def users_of(host: str, ports: Ports) -> tuple[str, ...]:
    """Names of VMs, claims and VMDisks that need this host."""
    machines = (*ports.store.list(VirtualMachine).items, *ports.store.list(VMInstance).items)
    claims = ports.store.list(GPUClaim).items
    return (
        *(str(machine.key) for machine in machines if machine.status.host == host),
        *(str(claim.key) for claim in claims if claim.spec.host == host),
        *(str(disk.key) for disk in ports.store.list(VMDisk).items if disk.status.host == host),
    )
