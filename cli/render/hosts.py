"""Hosts and their GPUs as tables and text, over the views that planning makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.render.age import age
from cli.render.resources import host_status, kvm_word
from cli.render.table import NONE, table

if TYPE_CHECKING:
    from provisioner.planning.fleet import GpuView, HostView
    from provisioner.planning.nodes import NodeView


def hosts_table(views: Sequence[HostView], *, now_s: float, wide: bool) -> str:
    """One line per host."""
    titles = ["NAME", "STATUS", "FREE", "GPUS", "KVM", "FREE-MEMORY"]
    titles += ["URI", "FREE-CPUS", "LIBVIRT"] if wide else []
    return table([*titles, "AGE"], [_row(view, now_s, wide=wide) for view in views])


def _row(view: HostView, now_s: float, *, wide: bool) -> list[str]:
    host = view.host
    item = host.as_json()
    free, every = sum(view.free_gpus.values()), sum(view.all_gpus.values())
    row = [view.name, host_status(item), f"{free}/{every}", _models(view.all_gpus), kvm_word(item), f"{view.free_memory_mib}Mi"]
    if wide:
        row += [host.spec.uri, str(view.free_vcpus), host.status.capabilities.libvirt_version]
    return [*row, age(host.metadata.creation_timestamp, now_s)]


def _models(counted: Mapping[str, int]) -> str:
    return ",".join(f"{count}x{name.rsplit('/', 1)[-1]}" for name, count in sorted(counted.items()))


def host_text(view: HostView) -> str:
    """One host: how it is, and a table of its GPUs."""
    if view.host.spec.is_cluster:
        return _cluster_text(view)
    host, status = view.host, view.host.status
    item = host.as_json()
    kvm = f"{kvm_word(item)}{f' ({status.kvm.message})' if status.kvm.message else ''}"
    lines = [
        ("Name", host.metadata.name),
        ("URI", host.spec.uri),
        ("Labels", ", ".join(f"{name}={value}" for name, value in host.metadata.labels.items())),
        ("Status", host_status(item)),
        ("KVM", kvm),
        ("Emulation", "allowed" if host.spec.allow_emulation else ""),
        ("CPUs", f"{view.free_vcpus} vCPUs of {view.vcpus} free"),
        ("Memory", f"{view.free_memory_mib} MiB of {view.memory_mib} MiB free for guests"),
        ("Pools", ", ".join(pool.name for pool in status.storage_pools if pool.active)),
        ("Classes", ", ".join(f"{name}={pool}" for name, pool in host.spec.storage_classes.items())),
        ("Networks", ", ".join(network.name for network in status.networks if network.active)),
        ("Libvirt", status.capabilities.libvirt_version),
    ]
    head = "".join(f"{title + ':':<11} {value}\n" for title, value in lines if value)
    return head + ("\n" + gpus_table(view) if view.gpus else "GPUs:       none\n")


def _cluster_text(view: HostView) -> str:
    """A KubeVirt cluster: what it permits, and a table of its nodes."""
    host, facts = view.host, view.host.status.cluster
    settings = host.spec.cluster
    lines = [
        ("Name", host.metadata.name),
        ("URI", host.spec.uri),
        ("Labels", ", ".join(f"{name}={value}" for name, value in host.metadata.labels.items())),
        ("Status", host_status(host.as_json())),
        ("KubeVirt", facts.version if facts is not None else ""),
        ("Namespace", settings.namespace or "each VM's own"),
        ("CPUs", f"{view.free_vcpus} vCPUs of {view.vcpus} free"),
        ("Memory", f"{view.free_memory_mib} MiB of {view.memory_mib} MiB free on nodes that take machines"),
        ("Permits", ", ".join(f"{device.resource} ({device.id})" for device in facts.permitted) if facts is not None else ""),
        ("Classes", ", ".join(f"{name}={there}" for name, there in host.spec.storage_classes.items())),
        ("Imports", "disks (CDI)" if facts is not None and facts.can_import_disks else ""),
        ("DRA", "GPUs can be claimed" if facts is not None and facts.can_claim_devices else ""),
    ]
    head = "".join(f"{title + ':':<11} {value}\n" for title, value in lines if value)
    return head + ("\n" + _nodes_table(view) if view.nodes else "Nodes:      none\n")


def _nodes_table(view: HostView) -> str:
    titles = ("NODE", "STATUS", "FREE", "GPUS", "FREE-MEMORY")
    return table(titles, [_node_row(node) for node in view.nodes])


def _node_row(view: NodeView) -> list[str]:
    node = view.node
    free = sum(max(0, count) for count in view.free_devices.values())
    gpus = ",".join(f"{device.count}x{device.resource.rsplit('/', 1)[-1]}" for device in node.devices if device.count)
    status = "Schedulable" if node.schedulable else "Unschedulable"
    return [node.name, status, f"{free}/{sum(device.count for device in node.devices)}", gpus, f"{view.free_memory_mib}Mi"]


def gpus_table(view: HostView) -> str:
    """One line per GPU."""
    titles = ("ADDRESS", "GPU", "ID", "STATE", "OWNER", "DRIVER", "NUMA", "GROUP", "COMPANIONS")
    return table(titles, [_gpu_row(gpu) for gpu in view.gpus])


def _gpu_row(gpu: GpuView) -> list[str]:
    facts = gpu.facts
    return [
        facts.address,
        facts.name,
        facts.function.id,
        _state(gpu),
        f"{gpu.owner.namespace}/{gpu.owner.name}" if gpu.owner else NONE,
        facts.function.driver or NONE,
        NONE if facts.numa_node is None else str(facts.numa_node),
        NONE if facts.iommu_group is None else str(facts.iommu_group),
        ",".join(companion.address for companion in facts.companions) or NONE,
    ]


def _state(gpu: GpuView) -> str:
    if not gpu.is_healthy:
        return gpu.facts.health.value
    if gpu.in_the_way:
        return f"{gpu.state.value},GroupShared"
    if gpu.facts.iommu_group is None:
        return f"{gpu.state.value},NoIOMMU"
    return gpu.state.value


def host_json(view: HostView) -> dict[str, Any]:
    """The stored object, and beside it what planning computes: per GPU its state and owner, and what is free."""
    return {
        **view.host.as_json(),
        "free": {"gpus": dict(view.free_gpus), "memoryMib": view.free_memory_mib, "vcpus": view.free_vcpus},
        "gpuStates": [
            {"address": gpu.facts.address, "state": gpu.state.value, "owner": str(gpu.owner) if gpu.owner else ""}
            for gpu in view.gpus
        ],
    }
