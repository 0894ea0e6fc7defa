"""What a look at a cluster shows, as the status of its GPUHost: nodes with what is free, GPUs by model, permissions; no more.

Our machines are asked for before the nodes are counted: one that is placed in between is counted twice until the next look,
which refuses somebody for a moment; the other order would promise a GPU twice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from provisioner.drivers.machine_cluster import ClusterSurvey, Machine, MachineCluster, MachineNode
from provisioner.model.catalogue import GpuCatalogue
from provisioner.model.cluster import ClusterDevice, ClusterFacts, ClusterNode, PermittedDevice, ShownMachine
from provisioner.model.gpu_host import GPUHost

NODES_MAX = 1000
"""An object of an API server has a megabyte or so; nodes with GPUs are kept first."""
_NOISE = re.compile(r"node\.kubevirt\.io/|feature\.node\.kubernetes\.io/|node-labeller\.kubevirt\.io/|^beta\.kubernetes\.io/")
"""Labels that describe CPUs, hundreds of them on every node."""
_ID = re.compile(r"[0-9a-fA-F]{4}:[0-9a-fA-F]{4}")


def survey_cluster(host: GPUHost, cluster: MachineCluster, catalogue: GpuCatalogue) -> GPUHost:
    """The host with a fresh look in its status, not stored. Raises as the cluster's calls."""
    machines = cluster.owned()
    found = cluster.survey()
    facts = _facts(found, machines, catalogue)
    open_nodes = [node for node in facts.nodes if node.schedulable]
    return host.with_status(
        reachable=True,
        hostname=host.spec.uri,
        cpus=sum(node.cpu_milli for node in open_nodes) // 1000,
        memory_mib=sum(node.memory_mib for node in open_nodes),
        cluster=facts,
    )


def _facts(found: ClusterSurvey, machines: Sequence[Machine], catalogue: GpuCatalogue) -> ClusterFacts:
    permitted = tuple(
        PermittedDevice(resource=resource, id=selector.lower(), name=_model(resource, selector, catalogue))
        for resource, selector in found.permitted_devices
    )
    models = {device.resource: device.name for device in permitted}
    nodes = sorted(
        (node for node in found.nodes if node.is_schedulable or node.devices), key=lambda node: (not node.devices, node.name)
    )
    return ClusterFacts(
        version=found.version,
        nodes=tuple(_node(node, models, catalogue) for node in sorted(nodes[:NODES_MAX], key=lambda node: node.name)),
        nodes_left_out=max(0, len(nodes) - NODES_MAX),
        permitted=permitted,
        machines=tuple(
            ShownMachine(owner_uid=machine.owner_uid, node=machine.node, gpus=machine.gpus)
            for machine in sorted(machines, key=lambda machine: (machine.namespace, machine.name))
            if machine.node and not machine.ended
        ),
        storage_classes=found.storage_classes,
        can_import_disks=found.can_import_disks,
        can_claim_devices=found.can_claim_devices,
    )


def _model(resource: str, selector: str, catalogue: GpuCatalogue) -> str:
    """By its PCI ids if the catalogue knows them, else by its name, else by its ids all the same."""
    known = catalogue.by_id(selector)
    named = known or catalogue.resolve(resource)
    if named is not None:
        return named.name
    return catalogue.name_for_id(selector) if _ID.fullmatch(selector) else resource


def _node(node: MachineNode, models: dict[str, str], catalogue: GpuCatalogue) -> ClusterNode:
    used = dict(node.devices_used)
    devices = []
    for resource, count in node.devices:
        model = catalogue.resolve(resource)
        name = models.get(resource) or (model.name if model is not None else "")
        devices.append(ClusterDevice(resource=resource, name=name, count=count, used=used.get(resource, 0)))
    return ClusterNode(
        name=node.name,
        schedulable=node.is_schedulable,
        labels={name: value for name, value in node.labels if not _NOISE.search(name)},
        devices=tuple(devices),
        memory_mib=node.memory_mib,
        memory_used_mib=node.memory_used_mib,
        cpu_milli=node.cpu_milli,
        cpu_used_milli=node.cpu_used_milli,
    )
