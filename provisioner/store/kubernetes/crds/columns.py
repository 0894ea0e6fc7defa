"""What `kubectl get` shows of a kind: is it ready, with which GPU, where, and why not.

A column is a JSONPath and shows the first value that it finds: of a VM with several GPUs the model of the first; `-o wide` has
the list. Reasons and messages are those of the Ready condition.
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.store.kubernetes.crds.schema import Schema

_WIDE = 1
_READY = '.status.conditions[?(@.type=="Ready")]'
_WITHIN = '.status.conditions[?(@.type=="WithinQuota")]'


def column(title: str, path: str, *, is_wide: bool = False, kind: str = "string") -> Schema:
    """One column; a wide one is shown by `-o wide` only."""
    return {"name": title, "type": kind, **({"priority": _WIDE} if is_wide else {}), "jsonPath": path}


READY = column("Ready", f"{_READY}.status")
REASON = column("Reason", f"{_READY}.reason")
MESSAGE = column("Message", f"{_READY}.message", is_wide=True)
AGE = column("Age", ".metadata.creationTimestamp", kind="date")

_MACHINE = (
    READY,
    column("Phase", ".status.phase"),
    column("GPU", ".spec.gpus[*].name"),
    column("Host", ".status.host"),
    column("Address", ".status.address"),
    REASON,
    column("External", ".status.externalAddress", is_wide=True),
    column("PCI", ".status.gpus[*].address", is_wide=True),
    column("GPUs", ".spec.gpus", is_wide=True),
    column("Node", ".status.machine.node", is_wide=True),
    column("Type", ".spec.instanceType", is_wide=True),
    column("Driver", ".status.driverVersion", is_wide=True),
    MESSAGE,
)
_GROUP_LIMITS = (
    column("Min", ".spec.minReplicas", kind="integer"),
    column("Max", ".spec.maxReplicas", kind="integer"),
    column("GPU", ".spec.gpus[*].name"),
)

COLUMNS: Mapping[str, tuple[Schema, ...]] = {
    "VirtualMachine": _MACHINE,
    "VMInstance": _MACHINE,
    "VMDisk": (
        READY,
        column("Phase", ".status.phase"),
        column("Size", ".spec.storage"),
        column("Host", ".status.host"),
        column("Used-By", ".status.usedBy"),
        REASON,
        column("Class", ".spec.storageClass", is_wide=True),
        column("Pool", ".status.pool", is_wide=True),
        column("Volume", ".status.volume", is_wide=True),
        MESSAGE,
    ),
    "Kubernetes": (READY, column("Version", ".spec.version"), REASON, MESSAGE),
    "KubernetesNodes": (READY, column("Cluster", ".spec.cluster"), *_GROUP_LIMITS, REASON, MESSAGE),
    "GPUHost": (
        READY,
        column("Cordoned", ".spec.cordoned", kind="boolean"),
        column("GPU", ".status.gpus[*].name"),
        column("KVM", ".status.kvm.works", kind="boolean"),
        column("CPUs", ".status.cpus", kind="integer"),
        column("Memory-MiB", ".status.memoryMib", kind="integer"),
        REASON,
        column("URI", ".spec.uri", is_wide=True),
        column("KubeVirt", ".status.cluster.version", is_wide=True),
        column("Quarantined", ".status.quarantined[*].address", is_wide=True),
        column("Libvirt", ".status.capabilities.libvirtVersion", is_wide=True),
        column("Last-Seen", ".status.lastSeen", is_wide=True),
        MESSAGE,
    ),
    "GPUClaim": (
        column("GPU", ".spec.gpuName"),
        column("Host", ".spec.host"),
        column("Address", ".spec.address"),
        column("UUID", ".spec.uuid", is_wide=True),
        column("Namespace", ".spec.owner.namespace"),
        column("Owner", ".spec.owner.name"),
        column("Bound", ".status.bound", kind="boolean"),
        column("Released", ".status.releasedAt"),
        column("Given", ".status.givenAt", is_wide=True),
        column("Failure", ".status.cleaning.failure", is_wide=True),
    ),
    "GPUHistory": (
        column("Host", ".status.host"),
        column("Address", ".status.address"),
        column("Vendor", ".spec.identity.vendor"),
        column("Device", ".spec.identity.device"),
        column("Serial", ".spec.identity.serial", is_wide=True),
        column("First-Owner", ".status.entries[0].owner.name", is_wide=True),
    ),
    "GPUQuota": (
        column("Within", f"{_WITHIN}.status"),
        column("Used", ".status.used"),
        column("Hard", ".spec.hard"),
        column("Hosts", ".spec.hostSelector"),
        column("Reason", f"{_WITHIN}.reason", is_wide=True),
        column("Message", f"{_WITHIN}.message", is_wide=True),
    ),
    "Image": (
        column("Distribution", ".spec.distribution"),
        column("Format", ".spec.format"),
        column("Min-Storage", ".spec.minStorage"),
        column("Driver", ".spec.nvidiaDriver"),
        column("URL", ".spec.url", is_wide=True),
        column("SHA256", ".status.sha256", is_wide=True),
        column("Hosts", ".status.hosts", is_wide=True),
    ),
}
"""Without AGE, which is the last of every kind."""
