"""The nodes of a KubeVirt cluster as placement sees them: what is free on each of them, for one VM.

    free = allocatable - what pods hold there by the last survey
         - what VMs were promised that the survey does not show yet (each on the first node that has room)
         + what the VM itself holds there

The cluster's own scheduler decides in the end; this says whether it can, and why not. A machine that the survey shows is in the
nodes' numbers and is not counted again. Pure: a function of the host's status and of the commitments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from provisioner.model.cluster import ClusterFacts, ClusterNode
from provisioner.model.gpu_host import GPUHost
from provisioner.planning.commitments import Commitment
from provisioner.planning.machine_spec import launcher_cpu_milli, launcher_memory_mib

CPU_MILLI_PER_VCPU = 100


@dataclass(frozen=True, slots=True)
class Demand:
    """What one machine takes of its node."""

    devices: Mapping[str, int]
    """By the cluster's resource name. GPUs that are given by DRA are not among them: nodes do not say how many they have."""
    memory_mib: int
    cpu_milli: int


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node, seen for one VM."""

    node: ClusterNode
    free_devices: Mapping[str, int]
    free_memory_mib: int
    free_cpu_milli: int

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    def has_room(self, demand: Demand) -> bool:
        """Whether a machine of that demand fits beside what is there."""
        has_devices = all(self.free_devices.get(resource, 0) >= count for resource, count in demand.devices.items())
        return has_devices and self.free_memory_mib >= demand.memory_mib and self.free_cpu_milli >= demand.cpu_milli

    def less(self, demand: Demand, *, times: int = 1) -> NodeView:
        """The node with that much less free; `times=-1`: more."""
        devices = Counter(self.free_devices)
        for resource, count in demand.devices.items():
            devices[resource] -= count * times
        return replace(
            self,
            free_devices=dict(devices),
            free_memory_mib=self.free_memory_mib - demand.memory_mib * times,
            free_cpu_milli=self.free_cpu_milli - demand.cpu_milli * times,
        )


def resource_of(name: str, host: GPUHost) -> str:
    """What the cluster calls that model of GPU, of what it permits; empty: nothing. The operator's word comes first."""
    given = host.spec.cluster.gpu_resources.get(name, "")
    permitted = _facts(host).permitted
    resources = {device.resource for device in permitted}
    if given or name in resources:
        found = given or name
        return found if found in resources else ""
    return next((device.resource for device in permitted if device.name == name), "")


def demand_of(names: Iterable[str], *, memory_mib: int, vcpus: int, host: GPUHost) -> Demand:
    """What a machine with GPUs of these models takes; a model that the cluster does not know counts under its own name."""
    names = tuple(names)
    counted = [name for name in names if name not in host.spec.cluster.claim_templates]
    return Demand(
        devices=Counter(resource_of(name, host) or name for name in counted),
        memory_mib=launcher_memory_mib(memory_mib=memory_mib, vcpus=vcpus, has_gpus=bool(names)),
        cpu_milli=launcher_cpu_milli(vcpus=vcpus),
    )


def node_views(host: GPUHost, commitments: Iterable[Commitment], *, for_uid: str = "") -> tuple[NodeView, ...]:
    """Every node, by name, as the VM of that uid sees it (empty: as a newcomer does)."""
    facts = _facts(host)
    views = {node.name: _bare(node) for node in sorted(facts.nodes, key=lambda node: node.name)}
    shown = {machine.owner_uid: machine for machine in facts.machines}
    for known in commitments:
        demand = demand_of(known.gpu_names, memory_mib=known.memory_mib, vcpus=known.vcpus, host=host)
        seen = shown.get(known.owner_uid)
        if seen is None and known.owner_uid != for_uid:
            name = next((view.name for view in views.values() if view.node.schedulable and view.has_room(demand)), "")
            if name:  # one that fits nowhere waits in the cluster, and holds nothing there
                views[name] = views[name].less(demand)
        elif seen is not None and known.owner_uid == for_uid and seen.node in views:
            own = replace(demand, devices=Counter(seen.gpus))
            views[seen.node] = views[seen.node].less(own, times=-1)
    return tuple(views.values())


def models_of(host: GPUHost) -> dict[str, str]:
    """The canonical name of the model behind each of the cluster's resource names that machines may ask for."""
    said = {resource: name for name, resource in host.spec.cluster.gpu_resources.items()}
    return {device.resource: said.get(device.resource, device.name) for device in _facts(host).permitted}


def free_by_model(host: GPUHost, nodes: Iterable[NodeView]) -> Counter[str]:
    """How many GPUs of each canonical name are free on nodes that take machines."""
    models = models_of(host)
    free: Counter[str] = Counter()
    for view in nodes:
        for resource, count in view.free_devices.items() if view.node.schedulable else ():
            if resource in models and count > 0:
                free[models[resource]] += count
    return free


def all_by_model(host: GPUHost) -> Counter[str]:
    """How many GPUs of each canonical name there are, on whatever node."""
    models = models_of(host)
    every: Counter[str] = Counter()
    for node in _facts(host).nodes:
        for device in node.devices:
            if device.resource in models and device.count:
                every[models[device.resource]] += device.count
    return every


def left_to_nodes(selector: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, str]:
    """What of a host selector the labels of the GPUHost itself do not say: one of its nodes must."""
    return {name: value for name, value in sorted(selector.items()) if labels.get(name) != value}


def _bare(node: ClusterNode) -> NodeView:
    return NodeView(
        node=node,
        free_devices={device.resource: device.count - device.used for device in node.devices},
        free_memory_mib=node.memory_mib - node.memory_used_mib,
        free_cpu_milli=node.cpu_milli - node.cpu_used_milli,
    )


def _facts(host: GPUHost) -> ClusterFacts:
    return host.status.cluster or ClusterFacts()
