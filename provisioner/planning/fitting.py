"""Can this host take this VM? The one answer to that question, for placing, for explaining and for checking again.

Each check is a small function that yields refusals; they are sorted by `Reason`, most fundamental first. A host that was
never seen is refused for its standing alone, since nothing else is known of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from provisioner.model.gpu_host import GpuState
from provisioner.model.metadata import matches
from provisioner.planning.cluster_fit import best_node, cluster_refusals, demand, free_gpus_on
from provisioner.planning.doctor.diagnosis import code_of
from provisioner.planning.fleet import GpuView, HostView
from provisioner.planning.gpu_choice import GpuChoice, choose_gpus
from provisioner.planning.hardware import window
from provisioner.planning.hardware.firmware import choose_firmware
from provisioner.planning.hardware.window import Bars, bars_or, need_of, room_of
from provisioner.planning.policy import PlacementPolicy
from provisioner.planning.refusals import FUNDAMENTAL, Reason, Refusal, counted, joined, memory_in_words
from provisioner.planning.requests import GpuNeed, PlacementRequest
from provisioner.planning.surroundings import surroundings


@dataclass(frozen=True, slots=True)
class Fit:
    """The host can take it, with these GPUs."""

    host: str
    choice: GpuChoice
    is_emulated: bool
    """It would run without KVM."""
    free_gpus_after: int
    free_memory_after_mib: int
    free_vcpus_after: int
    node: str = ""
    """Of a KubeVirt cluster, one that has room."""


def fits(request: PlacementRequest, host: HostView, *, policy: PlacementPolicy) -> Fit | tuple[Refusal, ...]:
    """How the host would take the VM, or every reason why it cannot, most fundamental first (never empty)."""
    refusals = tuple(sorted(_refusals(request, host, policy), key=lambda refusal: FUNDAMENTAL[refusal.reason]))
    if refusals:
        return refusals
    if host.host.spec.is_cluster:
        return _fit_of_cluster(request, host)
    memory_mib = _committed_mib(request, policy)
    choice = choose_gpus(host, request.gpus, memory_mib=memory_mib)
    assert choice is not None, "no refusal and yet no GPUs"
    return Fit(
        host=host.name,
        choice=choice,
        is_emulated=not host.host.status.kvm.works,
        free_gpus_after=sum(host.free_gpus.values()) - request.gpu_count,
        free_memory_after_mib=host.free_memory_mib - memory_mib,
        free_vcpus_after=host.free_vcpus - request.vcpus,
    )


def _fit_of_cluster(request: PlacementRequest, host: HostView) -> Fit:
    """How close the GPUs will be is not known: they are on one node, and no more is promised."""
    node = best_node(request, host)
    assert node is not None, "no refusal and yet no node"
    left = free_gpus_on(node) - request.gpu_count
    return Fit(
        host=host.name,
        choice=GpuChoice(numa_nodes=min(1, request.gpu_count), bridges=request.gpu_count, left_on_node=left),
        is_emulated=False,
        free_gpus_after=sum(host.free_gpus.values()) - request.gpu_count,
        free_memory_after_mib=host.free_memory_mib - demand(request, host).memory_mib,
        free_vcpus_after=host.free_vcpus - request.vcpus,
        node=node.name,
    )


def _refusals(request: PlacementRequest, host: HostView, policy: PlacementPolicy) -> Iterator[Refusal]:
    yield from _standing(request, host)
    if not host.host.status.last_seen and not host.host.status.reachable:
        return
    if host.host.spec.is_cluster:
        yield from cluster_refusals(request, host)
        return
    yield from _hypervisor(request, host)
    yield from surroundings(request, host, policy)
    for need in request.gpus:
        yield from _gpus(need, host)
    yield from _size(request, host, policy)


def _standing(request: PlacementRequest, host: HostView) -> Iterator[Refusal]:
    """Whether the host takes anything, and this VM in particular."""
    resource = host.host
    if any(home != host.name for home in request.pinned_hosts):
        homes = joined(request.pinned_hosts)
        yield Refusal(Reason.PINNED_ELSEWHERE, f"the VM's disk is on {homes}", lacks=f"the VM's disk, which is on {homes}")
    if request.tenant_labels:
        yield from _tenant(request, resource.metadata.labels)
    if resource.is_being_deleted:
        yield Refusal(Reason.BEING_REMOVED, "being removed", lacks="a future: it is being removed")
    if not resource.status.reachable:
        since = f" since {resource.status.last_seen}" if resource.status.last_seen else ", never seen"
        yield Refusal(Reason.UNREACHABLE, f"unreachable{since}", lacks="a connection")
    if resource.spec.cordoned and not (host.is_home or any(gpu.is_own for gpu in host.gpus)):
        yield Refusal(Reason.CORDONED, "cordoned", lacks="permission: it is cordoned")
    if not resource.spec.is_cluster and not matches(resource.metadata.labels, request.host_selector):
        labels = resource.metadata.labels
        wanted = [f"{name}={value}" for name, value in sorted(request.host_selector.items()) if labels.get(name) != value]
        subject = joined(wanted)
        yield Refusal(Reason.LABELS_DIFFER, f"has no label {subject}", lacks=f"label {subject}", subject=subject)


def _tenant(request: PlacementRequest, labels: Mapping[str, str]) -> Iterator[Refusal]:
    """Whether the quotas of the VM's namespace let it use a host with these labels."""
    lacking = [f"{name}={value}" for name, value in request.tenant_labels if labels.get(name) != value]
    if lacking:
        wanted = joined(lacking)
        lacks = f"label {wanted}, which this namespace's quota asks for"
        yield Refusal(Reason.NOT_FOR_TENANT, f"not for this tenant: has no label {wanted}", lacks=lacks, subject=wanted)


def _hypervisor(request: PlacementRequest, host: HostView) -> Iterator[Refusal]:
    """Whether its hypervisor can run such a guest."""
    kvm, capabilities = host.host.status.kvm, host.host.status.capabilities
    if kvm.works is None:
        yield Refusal(Reason.KVM_UNPROVEN, "nobody has tried KVM there yet", lacks="proof that KVM works")
    elif not kvm.works and not host.host.spec.allow_emulation:
        message = "KVM does not work and emulation is not allowed" + (f" ({kvm.message})" if kvm.message else "")
        yield Refusal(Reason.KVM_BROKEN, message, lacks="working KVM")
    if request.gpus and not capabilities.vfio:
        yield Refusal(Reason.NO_VFIO, "its hypervisor cannot pass PCI devices", lacks="VFIO")
    yield from _firmware(request, host)


def _firmware(request: PlacementRequest, host: HostView) -> Iterator[Refusal]:
    """Whether it has the firmware, and whether that can place the BARs of such GPUs."""
    bars = [bars for need in request.gpus for bars in _largest_bars(need, host)]
    need, memory_mib = need_of(bars), request.memory_mib
    firmware = choose_firmware(request.firmware, need=need, host=host.host, memory_mib=memory_mib)
    if firmware not in host.host.status.capabilities.firmwares:
        yield Refusal(Reason.FIRMWARE_MISSING, f"has no {firmware} firmware", lacks=f"{firmware} firmware", subject=firmware)
    elif not window.fits(need, firmware, host=host.host, memory_mib=memory_mib):
        message = window.shortage(need, firmware, host=host.host, memory_mib=memory_mib)
        yield Refusal(Reason.BARS_TOO_LARGE, message, lacks="room for the BARs of the GPUs in a guest's addresses")


def _largest_bars(need: GpuNeed, host: HostView) -> list[Bars]:
    """Those of as many GPUs as are asked for, the largest first: whichever are chosen fit then."""
    bars = [bars_or(gpu.facts, need.bar_bytes) for gpu in host.gpus if gpu.facts.name == need.name]
    return sorted(bars, key=room_of, reverse=True)[: need.count]


def _gpus(need: GpuNeed, host: HostView) -> Iterator[Refusal]:
    """Whether enough GPUs of one model are free; if not, the one obstacle that alone is in the way, or that they are short."""
    of_model = [gpu for gpu in host.gpus if gpu.facts.name == need.name]
    if not of_model:
        yield _gpu_refusal(need, Reason.WRONG_GPU_MODEL, message=f"has no {need.word}", lacks=f"any {need.word}", available=0)
        return
    obstacles = {gpu.facts.address: _obstacle(gpu) for gpu in of_model}
    free = sum(obstacle is None for obstacle in obstacles.values())
    if free >= need.count:
        return
    counts = Counter(obstacle for obstacle in obstacles.values() if obstacle is not None)
    alone = [reason for reason in _GPU_WORDS if free + counts[reason] >= need.count]
    reason = alone[0] if alone else Reason.INSUFFICIENT_GPUS
    message = f"{free} of {len(of_model)} {need.word} free" + (f", {need.count} needed" if need.count > 1 else "")
    details = [
        f"{counts[obstacle]} {so}{_codes(of_model, obstacle)}{_causes(host, of_model, obstacle)}"
        for obstacle, (so, _) in _GPU_WORDS.items()
        if counts[obstacle]
    ]
    message += f" ({', '.join(details)})" if details else ""
    lacks = (_GPU_WORDS[reason][1] if alone else "{n} free {word}").format(n=need.count - free, word=need.word)
    yield _gpu_refusal(need, reason, message=message, lacks=lacks, available=free)


_GPU_WORDS = {
    Reason.GPUS_BEING_CLEANED: ("being cleaned", "{n} clean {word}"),
    Reason.NO_VFIO: ("without an IOMMU group", "an IOMMU for {n} {word}"),
    Reason.GROUP_SHARED: ("in a shared IOMMU group", "{n} {word} alone in an IOMMU group"),
    Reason.GPUS_RETIRED: ("retired", "{n} {word} that is not retired"),
    Reason.GPUS_QUARANTINED: ("quarantined", "{n} {word} out of quarantine"),
    Reason.GPUS_UNHEALTHY: ("unhealthy", "{n} healthy {word}"),
}

_BY_STATE = {
    GpuState.CLEANING: Reason.GPUS_BEING_CLEANED,
    GpuState.RETIRED: Reason.GPUS_RETIRED,
    GpuState.QUARANTINED: Reason.GPUS_QUARANTINED,
}


def _codes(gpus: Iterable[GpuView], obstacle: Reason) -> str:
    """`: HK-DOC-207`, the doctor's findings behind that obstacle; empty if it is none of the doctor's."""
    found = {code_of(gpu.facts.health_message) for gpu in gpus if _obstacle(gpu) is obstacle is Reason.GPUS_UNHEALTHY} - {""}
    return f": {', '.join(sorted(found))}" if found else ""


def _obstacle(gpu: GpuView) -> Reason | None:
    """Why this GPU is not free; None if it is. A GPU that somebody owns is just taken, whatever else is wrong with it."""
    if gpu.is_free:
        return None
    if gpu.owner is not None and not gpu.is_own:
        return Reason.INSUFFICIENT_GPUS
    if gpu.state in _BY_STATE:
        return _BY_STATE[gpu.state]
    if not gpu.is_healthy:
        return Reason.GPUS_UNHEALTHY
    return Reason.NO_VFIO if gpu.facts.iommu_group is None else Reason.GROUP_SHARED


def _causes(host: HostView, gpus: Iterable[GpuView], obstacle: Reason) -> str:
    """`: NotReset`, why those that are in quarantine are; empty for another obstacle, and where no cause is recorded."""
    if obstacle is not Reason.GPUS_QUARANTINED:
        return ""
    addresses = {gpu.facts.address for gpu in gpus if gpu.state is GpuState.QUARANTINED}
    causes = sorted({entry.cause for entry in host.host.status.quarantined if entry.address in addresses and entry.cause})
    return f": {', '.join(causes)}" if causes else ""


def _gpu_refusal(need: GpuNeed, reason: Reason, *, message: str, lacks: str, available: int) -> Refusal:
    return Refusal(reason, message, lacks=lacks, needed=need.count, available=available, unit="GPUs", subject=need.word)


def _size(request: PlacementRequest, host: HostView, policy: PlacementPolicy) -> Iterator[Refusal]:
    """Memory with its overhead, and vCPUs; a guest never gets more vCPUs than the host has CPUs."""
    needed_mib, free_mib = _committed_mib(request, policy), max(0, host.free_memory_mib)
    if needed_mib > free_mib:
        yield Refusal(
            Reason.INSUFFICIENT_MEMORY,
            f"{memory_in_words(free_mib)} of memory free, {memory_in_words(needed_mib)} needed with overhead",
            lacks=f"{memory_in_words(needed_mib - free_mib)} of memory",
            needed=needed_mib,
            available=free_mib,
            unit="MiB",
        )
    free_vcpus = max(0, min(host.free_vcpus, host.host.status.cpus))
    if request.vcpus > free_vcpus:
        yield Refusal(
            Reason.INSUFFICIENT_CPUS,
            f"{free_vcpus} of {counted(host.vcpus, 'vCPU')} free, {request.vcpus} needed",
            lacks=counted(request.vcpus - free_vcpus, "vCPU"),
            needed=request.vcpus,
            available=free_vcpus,
            unit="vCPUs",
        )


def _committed_mib(request: PlacementRequest, policy: PlacementPolicy) -> int:
    return policy.committed_mib(memory_mib=request.memory_mib, vcpus=request.vcpus, gpus=request.gpu_count)
