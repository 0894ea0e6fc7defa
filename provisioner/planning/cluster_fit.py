"""Can this KubeVirt cluster take this VM? Its GPUs must be on one node that takes machines, with memory, CPU and labels.

Every node answers like a small host; if none takes the VM, the cluster answers with the reasons of the node that lacks least,
found as the nearest host of a fleet is found. What the whole cluster lacks (permission for the GPU, a disk) is said as well.
"""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.model.cluster import ClusterFacts
from provisioner.model.metadata import matches
from provisioner.planning.fleet import HostView
from provisioner.planning.nodes import CPU_MILLI_PER_VCPU, Demand, NodeView, demand_of, left_to_nodes, resource_of
from provisioner.planning.refusals import Reason, Refusal, counted, joined, lack_of, memory_in_words
from provisioner.planning.requests import GpuNeed, PlacementRequest


def cluster_refusals(request: PlacementRequest, host: HostView) -> tuple[Refusal, ...]:
    """Every reason why the cluster cannot take it, in no order; empty: a node can."""
    whole = (*_surroundings(request, host), *(refusal for need in request.gpus for refusal in _permission(need, host)))
    if best_node(request, host) is not None:
        return whole
    return (*whole, *_nearest_node(request, host))


def best_node(request: PlacementRequest, host: HostView) -> NodeView | None:
    """The node that has room and keeps least free beside it, so that large nodes stay whole; None: no node has room."""
    nodes = [view for view in host.nodes if not tuple(_node_refusals(request, view, host))]
    return min(nodes, key=lambda view: (free_gpus_on(view), view.free_memory_mib, view.name), default=None)


def demand(request: PlacementRequest, host: HostView) -> Demand:
    """What the VM's machine takes of its node."""
    names = [need.name for need in request.gpus for _ in range(need.count)]
    return demand_of(names, memory_mib=request.memory_mib, vcpus=request.vcpus, host=host.host)


def free_gpus_on(view: NodeView) -> int:
    """How many GPUs are free on the node, of all models."""
    return sum(max(0, count) for count in view.free_devices.values())


def _surroundings(request: PlacementRequest, host: HostView) -> Iterator[Refusal]:
    """Networks and disks: machines are on the pod network alone, and have one disk that the cluster makes."""
    for name in request.networks:
        yield Refusal(Reason.NETWORK_MISSING, "machines are on the pod network alone", lacks=f"network {name}", subject=name)
    facts, image = host.host.status.cluster or ClusterFacts(), request.image
    if request.has_vm_disks:
        yield Refusal(Reason.DISK_UNAVAILABLE, "a KubeVirt cluster has no VMDisks", lacks="VMDisks")
    elif image and image not in host.host.spec.cluster.container_disks and not facts.can_import_disks:
        so = f"no containerDisk is named for image {image}, and the cluster imports no disks (CDI)"
        yield Refusal(Reason.DISK_UNAVAILABLE, so, lacks=f"a disk for image {image}", subject=image)


def _permission(need: GpuNeed, host: HostView) -> Iterator[Refusal]:
    """Whether machines may ask for the model, and whether there is any."""
    if need.name in host.host.spec.cluster.claim_templates:
        if not (host.host.status.cluster or ClusterFacts()).can_claim_devices:
            so = f"{need.word} is given by DRA here, and the cluster has it switched off"
            yield Refusal(Reason.NOT_PERMITTED, so, lacks="DRA for GPUs in KubeVirt", subject=need.word)
        return
    resource = resource_of(need.name, host.host)
    offered = {device.resource: device for view in host.nodes for device in view.node.devices if device.count}
    if resource and resource in offered:
        return
    unpermitted = sorted(device.resource for device in offered.values() if need.name in (device.name, device.resource))
    if resource:
        message, reason = f"permits {need.word} as {resource}, and no node offers any", Reason.WRONG_GPU_MODEL
    elif unpermitted:
        message, reason = f"its nodes offer {unpermitted[0]}, which permittedHostDevices does not name", Reason.NOT_PERMITTED
    else:
        message, reason = f"has no {need.word}", Reason.WRONG_GPU_MODEL
    is_wrong = reason is Reason.WRONG_GPU_MODEL
    lacks = f"any {need.word}" if is_wrong else f"{unpermitted[0]} in permittedHostDevices"
    yield Refusal(reason, message, lacks=lacks, needed=need.count, available=0, unit="GPUs", subject=need.word)


def _nearest_node(request: PlacementRequest, host: HostView) -> tuple[Refusal, ...]:
    """The refusals of the node that lacks least."""
    if not host.nodes:
        return (Refusal(Reason.CORDONED, "no node takes machines", lacks="a node that takes machines"),)
    answers = [(view.name, tuple(_node_refusals(request, view, host))) for view in host.nodes]
    return min(answers, key=lambda answer: lack_of(*answer))[1]


def _node_refusals(request: PlacementRequest, view: NodeView, host: HostView) -> Iterator[Refusal]:
    where = f" on node {view.name}" if len(host.nodes) > 1 else ""
    if not view.node.schedulable:
        yield Refusal(
            Reason.CORDONED, f"node {view.name} takes no machines", lacks=f"leave of node {view.name}: it is cordoned"
        )
    labels = left_to_nodes(request.host_selector, host.host.metadata.labels)
    if not matches(view.node.labels, labels):
        lacking = [f"{name}={value}" for name, value in labels.items() if view.node.labels.get(name) != value]
        subject = joined(lacking)
        so = f"neither it nor node {view.name} has label {subject}"
        yield Refusal(Reason.LABELS_DIFFER, so, lacks=f"label {subject}", subject=subject)
    for need in request.gpus:
        yield from _gpus(need, view, host)
    yield from _size(request, view, host, where)


def _gpus(need: GpuNeed, view: NodeView, host: HostView) -> Iterator[Refusal]:
    resource = resource_of(need.name, host.host)
    if need.name in host.host.spec.cluster.claim_templates or not resource:
        return  # not counted by nodes; or not permitted, which is said of the whole
    here = max(0, view.free_devices.get(resource, 0))
    if here >= need.count:
        return
    free, every = host.free_gpus[need.name], host.all_gpus[need.name]
    if not every:
        return  # said of the whole
    if free < need.count:
        message = f"{free} of {every} {need.word} free" + (f", {need.count} needed" if need.count > 1 else "")
        missing_from = free
    else:
        message, missing_from = f"{here} {need.word} free on node {view.name}, {need.count} needed on one node", here
    lacks = f"{need.count - missing_from} more {need.word}" + ("" if free < need.count else " on one node")
    yield Refusal(
        Reason.INSUFFICIENT_GPUS,
        message,
        lacks=lacks,
        needed=need.count,
        available=missing_from,
        unit="GPUs",
        subject=need.word,
    )


def _size(request: PlacementRequest, view: NodeView, host: HostView, where: str) -> Iterator[Refusal]:
    needed, free_mib = demand(request, host), max(0, view.free_memory_mib)
    if needed.memory_mib > free_mib:
        so = f"{memory_in_words(free_mib)} of memory free{where}, {memory_in_words(needed.memory_mib)} needed with overhead"
        yield Refusal(
            Reason.INSUFFICIENT_MEMORY,
            so,
            lacks=f"{memory_in_words(needed.memory_mib - free_mib)} of memory{where}",
            needed=needed.memory_mib,
            available=free_mib,
            unit="MiB",
        )
    if needed.cpu_milli > view.free_cpu_milli:
        free_vcpus = max(0, view.free_cpu_milli) // CPU_MILLI_PER_VCPU
        missing = max(1, request.vcpus - free_vcpus)
        yield Refusal(
            Reason.INSUFFICIENT_CPUS,
            f"room for {counted(free_vcpus, 'vCPU')}{where}, {request.vcpus} needed",
            lacks=f"{counted(missing, 'vCPU')}{where}",
            needed=request.vcpus,
            available=request.vcpus - missing,
            unit="vCPUs",
        )
