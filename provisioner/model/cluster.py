"""A KubeVirt cluster as a GPUHost: how it is used, and what it showed. It places by itself: GPUs are counted, not listed.

Nothing here names a GPU by address: which one a machine gets is its kubelet's choice, and known afterwards, from the guest.
"""

from __future__ import annotations

from pydantic import Field

from provisioner.model.metadata import Part

SCHEME = "kubevirt:"
"""URIs of such hosts begin with it: `kubevirt:` is the cluster that hikube itself is in, `kubevirt://CONTEXT` another one."""
NODE_LOST_AFTER_S = 300


class ClusterSettings(Part):
    """How a KubeVirt cluster is used; everything may be left out."""

    namespace: str = ""
    """Of all machines; empty: each machine is in the namespace of its VM."""
    gpu_resources: dict[str, str] = Field(default_factory=dict)
    """The cluster's resource name for a model of GPU, where neither its selector nor its name tells."""
    claim_templates: dict[str, str] = Field(default_factory=dict)
    """The ResourceClaimTemplate for a model of GPU that is given by DRA; it stands in the machines' namespace."""
    container_disks: dict[str, str] = Field(default_factory=dict)
    """The container image with the root disk for an Image; any other Image is imported by the cluster from its URL."""
    node_lost_after_s: int = NODE_LOST_AFTER_S
    """A machine on a node that is silent for so long is ended there and started elsewhere; 0: never, an operator decides."""


class ClusterDevice(Part):
    """GPUs of one resource name on one node."""

    resource: str
    name: str = ""
    """Canonical resource name of the catalogue; empty: the catalogue does not know it."""
    count: int
    """Allocatable."""
    used: int
    """By pods that are bound there, ours or anybody's."""


class ClusterNode(Part):
    """A node that may run machines, or has GPUs."""

    name: str
    schedulable: bool
    labels: dict[str, str] = Field(default_factory=dict)
    """Without those that describe CPUs."""
    devices: tuple[ClusterDevice, ...] = ()
    memory_mib: int
    memory_used_mib: int
    cpu_milli: int
    cpu_used_milli: int


class PermittedDevice(Part):
    """A resource name that machines may ask for (permittedHostDevices)."""

    resource: str
    id: str
    """`vendor:device`, lower case."""
    name: str
    """Canonical resource name of the catalogue."""


class ShownMachine(Part):
    """A machine of ours that was on a node when the cluster was surveyed: what it takes is in the node's numbers."""

    owner_uid: str
    node: str
    gpus: tuple[str, ...] = ()
    """The cluster's resource names."""


class ClusterFacts(Part):
    """What a survey of the cluster found."""

    version: str = ""
    """Of KubeVirt."""
    nodes: tuple[ClusterNode, ...] = ()
    nodes_left_out: int = 0
    """Too many to be kept here; nothing is placed by them, though the cluster may use them."""
    permitted: tuple[PermittedDevice, ...] = ()
    machines: tuple[ShownMachine, ...] = ()
    storage_classes: tuple[str, ...] = ()
    can_import_disks: bool = False
    can_claim_devices: bool = False


class ClusterMachine(Part):
    """The machine of a VM on a cluster."""

    namespace: str
    name: str
    instance_uid: str = ""
    """Of the instance that was brought up; another one is another boot, with perhaps other GPUs."""
    node: str = ""
    applied_generation: int = 0
    """Of the VM's spec that the cluster was given last for a start; 0: none yet."""
    lost_since: str = ""
    """When its node was first seen not to answer; empty: it does."""
    disk: str = ""
    """What it boots from, decided once: `container:IMAGE` or `import:URL`."""


class ClaimedInstance(Part):
    """The instance of a machine that has the GPU of a claim; the GPU is free when that instance is gone."""

    namespace: str
    name: str
    instance_uid: str
    node: str = ""
