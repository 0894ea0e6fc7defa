"""What a simulated cluster shows of its machines and nodes, in the words of the seam. Pure."""

from __future__ import annotations

import difflib
from dataclasses import replace

from provisioner.drivers.machine_cluster import (
    ContainerDisk,
    ImportedDisk,
    Machine,
    MachineNode,
    MachineSpec,
    MachineState,
    Trouble,
)
from provisioner.drivers.simulated.machine_cluster_life import LOSS_S, over_quota
from provisioner.drivers.simulated.machine_cluster_scheduler import used_cpu_milli, used_gpus, used_memory_mib, why_none
from provisioner.drivers.simulated.machine_cluster_state import ClusterState, InstanceState, MachineRecord, NodeState
from provisioner.model.clock import timestamp

_TOLD = {
    MachineState.STOPPED: "Stopped",
    MachineState.WAITING: "Starting",
    MachineState.PLACED: "Starting",
    MachineState.RUNNING: "Running",
    MachineState.STOPPING: "Stopping",
    MachineState.LOST: "Running",
}
_OF_TROUBLES = {"Unschedulable": "ErrorUnschedulable", "BackOff": "CrashLoopBackOff", "ImageNotPulled": "ErrImagePull"}


def machine_of(state: ClusterState, record: MachineRecord, *, now_s: float) -> Machine:
    """The machine as a look shows it."""
    instance = record.instance
    how = _state(state, record, now_s)
    trouble = _trouble(state, record, how)
    shown = Machine(
        namespace=record.namespace,
        name=record.name,
        owner_uid=record.spec.owner_uid,
        state=how,
        status_in_its_words="Terminating" if record.is_going else _words(how, trouble),
        trouble=trouble,
    )
    if instance is None:
        return shown
    return replace(
        shown,
        instance_uid=instance.uid,
        ended=instance.ended,
        node=instance.node,
        addresses=(instance.address,) if instance.address and not instance.ended else (),
        gpus=tuple(sorted(instance.spec.gpus)),
        gpu_addresses=tuple(sorted(gpu.address for gpu in instance.gpus)) if instance.spec.claim_template else (),
        is_current=_lasting(instance.spec) == _lasting(record.spec),
        asks_to_leave=instance.asks_to_leave and not instance.ended and not instance.is_told,
    )


def node_of(state: ClusterState, node: NodeState, *, now_s: float) -> MachineNode:
    """The node as a survey shows it."""
    devices: dict[str, int] = {}
    for gpu in node.gpus:
        devices[gpu.resource] = devices.get(gpu.resource, 0) + 1
    is_lost = node.silent_since_s is not None and now_s >= node.silent_since_s + LOSS_S
    return MachineNode(
        name=node.name,
        is_schedulable=not node.is_cordoned and not is_lost,
        labels=tuple(sorted(node.labels.items())),
        devices=tuple(sorted(devices.items())),
        devices_used=tuple(sorted(used_gpus(state, node).items())),
        memory_mib=node.memory_mib,
        memory_used_mib=used_memory_mib(state, node),
        cpu_milli=node.cpu_milli,
        cpu_used_milli=used_cpu_milli(state, node),
    )


def _state(state: ClusterState, record: MachineRecord, now_s: float) -> MachineState:
    instance = record.instance
    if instance is not None and not instance.ended and _is_lost(state.nodes.get(instance.node), now_s):
        return MachineState.LOST
    if record.is_going:
        return MachineState.STOPPING
    if instance is None:
        return MachineState.WAITING if record.spec.is_to_run else MachineState.STOPPED
    if instance.ended:
        is_replaced = record.spec.is_to_run and (record.spec.is_restarted or instance.is_told)
        return MachineState.STOPPING if is_replaced else MachineState.STOPPED
    if instance.is_told or not record.spec.is_to_run:
        return MachineState.STOPPING
    if instance.running_s is not None:
        return MachineState.RUNNING
    return MachineState.PLACED if instance.node else MachineState.WAITING


def _is_lost(node: NodeState | None, now_s: float) -> bool:
    if node is None or node.answers:
        return False
    return node.gone_since_s is not None or now_s >= (node.silent_since_s or 0.0) + LOSS_S


def _trouble(state: ClusterState, record: MachineRecord, how: MachineState) -> Trouble | None:
    instance = record.instance
    if how is MachineState.LOST and instance is not None:
        return Trouble("NodeLost", f"node {instance.node} does not answer; whether the machine runs there is not known")
    if record.retry_s is not None and (instance is None or instance.ended):
        after = timestamp(record.retry_s)
        return Trouble("BackOff", f"it ended {record.failures} times before its guest ran; tried again after {after}")
    if how is MachineState.WAITING:
        return _of_waiting(state, record, instance)
    if how is MachineState.PLACED and instance is not None and isinstance(instance.spec.disk, ContainerDisk):
        why = state.refused_images.get(instance.spec.disk.image)
        return None if why is None else Trouble("ImageNotPulled", why)
    if instance is not None and instance.ended == "crashed" and instance.why:
        return Trouble("Refused", instance.why)
    return None


def _of_waiting(state: ClusterState, record: MachineRecord, instance: InstanceState | None) -> Trouble | None:
    spec = instance.spec if instance is not None else record.spec
    if instance is None:
        cannot = isinstance(spec.disk, ImportedDisk) and not state.can_import_disks
        text = "the cluster has no CDI, which imports disks: the server could not find the requested resource"
        return Trouble("DiskMissing", text, is_final=True) if cannot else None
    refused = [name for name in spec.gpus if name not in state.permitted]
    if refused:
        return Trouble("NotPermitted", _not_permitted(refused[0], sorted(state.permitted)), is_final=True)
    if over_quota(state, spec):
        limit = state.gpu_quotas[spec.namespace]
        return Trouble("QuotaExceeded", f"exceeded quota: gpus, requested: {len(spec.gpus)}, limited: {limit}")
    return Trouble("Unschedulable", why_none(state, spec))


def _not_permitted(name: str, permitted: list[str]) -> str:
    text = f"failed to render launch manifest: GPU {name} is not permitted in permittedHostDevices configuration"
    nearest = difflib.get_close_matches(name, permitted, n=1, cutoff=0.6)
    if nearest:
        return f"{text}; did you mean {nearest[0]}?"
    return f"{text}; permitted: {', '.join(permitted)}" if permitted else text


def _words(how: MachineState, trouble: Trouble | None) -> str:
    return _OF_TROUBLES.get(trouble.reason, _TOLD[how]) if trouble is not None else _TOLD[how]


def _lasting(spec: MachineSpec) -> MachineSpec:
    """What only a restart can change."""
    return replace(spec, user_data="", network_data="", node_labels=(), is_to_run=True, is_restarted=False)
