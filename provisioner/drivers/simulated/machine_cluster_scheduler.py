"""The scheduler of a simulated cluster: which node takes an instance, or why none does, in kube-scheduler's words. Pure."""

from __future__ import annotations

from collections import Counter

from provisioner.drivers.machine_cluster import MachineSpec
from provisioner.drivers.simulated.machine_cluster_state import ClusterState, GuestGpu, NodeState
from provisioner.planning.machine_spec import cpu_needed_milli, memory_needed_mib


def choose(state: ClusterState, spec: MachineSpec) -> tuple[str, tuple[GuestGpu, ...]] | None:
    """The first node by name that has room, and its GPUs; None if there is none."""
    for _, node in sorted(state.nodes.items()):
        if not _objections(state, node, spec):
            return node.name, _pick(state, node, spec)
    return None


def why_none(state: ClusterState, spec: MachineSpec) -> str:
    """Why it is unschedulable."""
    present = [node for node in state.nodes.values() if node.gone_since_s is None]
    counts = Counter(objection for node in present for objection in _objections(state, node, spec))
    told = ", ".join(f"{count} {objection}" for objection, count in sorted(counts.items()))
    return f"0/{len(present)} nodes are available: {told}."


def used_gpus(state: ClusterState, node: NodeState) -> Counter[str]:
    """GPUs of that node that are held, by resource name: by machines that have not ended, and by others."""
    ours = Counter(gpu.resource for _, instance in state.instances() if instance.node == node.name for gpu in instance.gpus)
    return ours + Counter(node.taken_by_others)


def used_memory_mib(state: ClusterState, node: NodeState) -> int:
    """What machines that have not ended hold of it."""
    return sum(memory_needed_mib(instance.spec) for _, instance in state.instances() if instance.node == node.name)


def used_cpu_milli(state: ClusterState, node: NodeState) -> int:
    """What machines that have not ended hold of it."""
    return sum(cpu_needed_milli(instance.spec) for _, instance in state.instances() if instance.node == node.name)


def _objections(state: ClusterState, node: NodeState, spec: MachineSpec) -> list[str]:
    if not node.answers:
        return ["node(s) had untolerated taint(s)"]
    if node.is_cordoned:
        return ["node(s) were unschedulable"]
    if any(node.labels.get(name) != value for name, value in spec.node_labels):
        return ["node(s) didn't match Pod's node affinity/selector"]
    free = Counter(gpu.resource for gpu in node.gpus)
    free.subtract(used_gpus(state, node))
    short = [f"Insufficient {name}" for name, count in sorted(Counter(spec.gpus).items()) if free[name] < count]
    if node.memory_mib - used_memory_mib(state, node) < memory_needed_mib(spec):
        short.append("Insufficient memory")
    if node.cpu_milli - used_cpu_milli(state, node) < cpu_needed_milli(spec):
        short.append("Insufficient cpu")
    return short


def _pick(state: ClusterState, node: NodeState, spec: MachineSpec) -> tuple[GuestGpu, ...]:
    held = {gpu.uuid for _, instance in state.instances() for gpu in instance.gpus}
    skipped, wanted = Counter(node.taken_by_others), Counter(spec.gpus)
    found = []
    for gpu in node.gpus:
        if gpu.uuid in held or not wanted[gpu.resource]:
            continue
        if skipped[gpu.resource]:
            skipped[gpu.resource] -= 1  # the others' are the first that are free
            continue
        wanted[gpu.resource] -= 1
        found.append(gpu)
    return tuple(found)
