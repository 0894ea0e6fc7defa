"""Everything that a simulated KubeVirt cluster remembers, as plain data. It is the world, so it is mutable on purpose.

Times are seconds since the epoch. Nothing here decides anything; what comes of it with time is in `machine_cluster_life`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from provisioner.drivers.machine_cluster import Ended, MachineSpec
from provisioner.drivers.simulated.state import GuestBehaviour

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class GuestGpu:
    """One GPU of a node."""

    resource: str
    """As machines ask for it: `nvidia.com/GH100_H100_NVL`."""
    vendor_device: str
    """`10de:2321`."""
    product: str
    memory_mib: int
    address: str
    """On the node."""
    uuid: str
    serial: str


@dataclass(slots=True)
class NodeState:
    """One node."""

    name: str
    gpus: tuple[GuestGpu, ...]
    memory_mib: int
    cpu_milli: int
    labels: dict[str, str] = field(default_factory=dict)
    is_cordoned: bool = False
    silent_since_s: float | None = None
    """Since when its kubelet does not answer."""
    gone_since_s: float | None = None
    """Since when its object is deleted."""
    taken_by_others: dict[str, int] = field(default_factory=dict)
    """GPUs that pods of others hold, by resource name."""

    @property
    def answers(self) -> bool:
        """Whether anything happens on it."""
        return self.silent_since_s is None and self.gone_since_s is None


@dataclass(slots=True)
class InstanceState:
    """One start of a machine."""

    uid: str
    spec: MachineSpec
    """Of the moment when it was made; a restart takes the machine's own."""
    made_s: float
    node: str = ""
    gpus: tuple[GuestGpu, ...] = ()
    user_data: str = ""
    """What its seed was when its pod was bound."""
    running_due_s: float | None = None
    """When its guest starts; None while it is not bound."""
    running_s: float | None = None
    address: str = ""
    ssh_s: float | None = None
    cloud_init_s: float | None = None
    is_told: bool = False
    """Whether it is deleted: it goes when it has ended."""
    asks_to_leave: bool = False
    ends_s: float | None = None
    """When it will have ended, for what was set off."""
    ends_as: Ended = ""
    ended: Ended = ""
    ended_s: float = 0.0
    why: str = ""
    """The cluster's reason, of one that failed."""
    gone_s: float | None = None
    """When its object goes; None: it stays."""


@dataclass(slots=True)
class MachineRecord:
    """One machine."""

    namespace: str
    name: str
    spec: MachineSpec
    changed_s: float
    """When it was last told something."""
    instance: InstanceState | None = None
    starts: int = 0
    failures: int = 0
    """Starts in a row that ended before the guest ran."""
    retry_s: float | None = None
    is_going: bool = False

    @property
    def key(self) -> Key:
        """Its namespace and name."""
        return (self.namespace, self.name)


@dataclass(slots=True)
class ClusterState:
    """One cluster."""

    version: str = "v1.9.0"
    namespaces: set[str] = field(default_factory=lambda: {"default"})
    nodes: dict[str, NodeState] = field(default_factory=dict)
    permitted: dict[str, str] = field(default_factory=dict)
    """`vendor:device` by resource name."""
    storage_classes: tuple[str, ...] = ("standard",)
    can_import_disks: bool = True
    claim_templates: dict[Key, int] = field(default_factory=dict)
    """How many requests each has."""
    machines: dict[Key, MachineRecord] = field(default_factory=dict)
    strangers: set[Key] = field(default_factory=set)
    """Machines of somebody else's."""
    refused_images: dict[str, str] = field(default_factory=dict)
    """Why each cannot be pulled."""
    gpu_quotas: dict[str, int] = field(default_factory=dict)
    """How many GPUs the pods of a namespace may ask for."""
    failing_starts: dict[Key, int] = field(default_factory=dict)
    """How many of the next starts end before the guest runs."""
    behaviours: dict[Key, GuestBehaviour] = field(default_factory=dict)
    freed_s: float = 0.0
    """When capacity last became free, or came."""
    link: Literal["up", "down", "hangs"] = "up"
    addresses: int = 0
    """How many were given."""

    def behaviour_of(self, key: Key) -> GuestBehaviour:
        """How that machine's guest shall behave."""
        return self.behaviours.get(key) or GuestBehaviour()

    def instances(self) -> list[tuple[MachineRecord, InstanceState]]:
        """Those that have not ended, with their machines, in order."""
        return [
            (machine, machine.instance)
            for _, machine in sorted(self.machines.items())
            if machine.instance is not None and not machine.instance.ended
        ]
