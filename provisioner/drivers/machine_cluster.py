"""The seam to a cluster that places and runs machines by itself (KubeVirt): what a VM's life needs of it.

It differs from a hypervisor (hypervisor.py) in who decides: here the cluster's scheduler picks the node and its kubelet the
GPUs, so there is nothing to bind, and no claim before a machine runs. We say what shall be, and look at what is.

    apply(machine) ──> the cluster: a node, GPUs, a guest ──> look(): state, node, address, or why not
    remove(name)   ──> the cluster: shutdown, gone        ──> look(): None

Every implementation passes tests/contract/test_machine_cluster.py. Every call is safe to repeat, and none waits for a machine.
Errors, anywhere: HostUnreachable, HostTimeout, HypervisorError (what the cluster answered, in its words), NotAllowed.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from provisioner.drivers.host_events import Listener
from provisioner.model.pci import PciAddress
from provisioner.planning.machine_spec import ContainerDisk, ImportedDisk, MachineSpec

__all__ = [
    "ClusterSurvey",
    "ContainerDisk",
    "Ended",
    "ImportedDisk",
    "Machine",
    "MachineCluster",
    "MachineClusterConnector",
    "MachineNode",
    "MachineSpec",
    "MachineState",
    "Trouble",
]

Ended = Literal["", "off", "crashed"]
"""How an instance ended: its guest powered off (or was told to), or it failed."""


class MachineState(enum.StrEnum):
    """How far a machine is; coarser than the cluster's own words, which are in `Machine.status_in_its_words`."""

    STOPPED = "stopped"
    """Nothing of it runs, and nothing of it will unless it is told to; `ended` says how, while the instance is still there."""
    WAITING = "waiting"
    """It shall run, and the cluster has not given it a node and GPUs yet."""
    PLACED = "placed"
    """The scheduler gave it a node, where the kubelet gives it its GPUs; the guest is not started yet."""
    RUNNING = "running"
    """Its QEMU runs; says nothing about the guest."""
    STOPPING = "stopping"
    """Its guest is told to end, or the instance is being replaced, or the machine removed; GPUs may still be held."""
    LOST = "lost"
    """Its node does not answer: it may run or not, and the cluster does not know."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a machine does not get on: a stable CamelCase reason, and the cluster's own text."""

    reason: str
    """Unschedulable, NotPermitted, ImageNotPulled, DiskMissing, QuotaExceeded, BackOff, Refused, SecretMissing, ClaimMissing,
    NodeLost."""
    message: str
    is_final: bool = False
    """Only a change of the spec or of the cluster's configuration helps; waiting does not."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as the cluster shows it."""

    namespace: str
    name: str
    owner_uid: str
    state: MachineState
    instance_uid: str = ""
    """Of the instance that there is, running or ended; another one is another boot with perhaps other GPUs. Empty: none."""
    ended: Ended = ""
    """How that instance ended; empty while it has not."""
    node: str = ""
    """From the moment that the scheduler has bound it."""
    addresses: tuple[str, ...] = ()
    status_in_its_words: str = ""
    """KubeVirt's printableStatus."""
    trouble: Trouble | None = None
    gpus: tuple[str, ...] = ()
    """Resource names that the instance was made with, sorted; empty while there is no instance."""
    gpu_addresses: tuple[PciAddress, ...] = ()
    """On the node, where the cluster tells (DRA); usually empty."""
    is_current: bool = True
    """Whether the instance was made from the spec that was applied last; False: a restart would change it. Its seed and where
    it may run do not count: user_data, network_data, node_labels."""
    asks_to_leave: bool = False
    """Somebody drains its node and waits for us to stop it (evictionStrategy External)."""


@dataclass(frozen=True, slots=True)
class MachineNode:
    """A node of the cluster that may run machines."""

    name: str
    is_schedulable: bool
    """Ready, not cordoned, and marked schedulable by the cluster's own watcher of nodes."""
    labels: tuple[tuple[str, str], ...]
    devices: tuple[tuple[str, int], ...]
    """Allocatable GPUs by resource name: what the cluster permits to machines, and whatever else is NVIDIA's."""
    devices_used: tuple[tuple[str, int], ...]
    """Of those, what pods hold that are bound to it and have not ended, ours or anybody's."""
    memory_mib: int
    memory_used_mib: int
    cpu_milli: int
    cpu_used_milli: int


@dataclass(frozen=True, slots=True)
class ClusterSurvey:
    """What the cluster has and lets machines have."""

    version: str
    nodes: tuple[MachineNode, ...]
    permitted_devices: tuple[tuple[str, str], ...]
    """Resource names that machines may ask for, each with its `vendor:device` selector (`10DE:26B9`), by name."""
    storage_classes: tuple[str, ...]
    can_import_disks: bool
    """Whether DataVolumes exist (CDI)."""
    can_claim_devices: bool
    """Whether DRA ResourceClaims for GPUs are served and switched on."""


class MachineCluster(Protocol):
    """One open connection to one cluster; safe to use from several threads."""

    def survey(self) -> ClusterSurvey:
        """Everything that placing and explaining needs. Changes nothing."""
        ...

    def apply(self, spec: MachineSpec) -> None:
        """Let the machine and its Secret be as the spec says (server-side apply under our own field manager).

        A running machine is not restarted by a change: `Machine.is_current` says that it has not taken effect.

        Raises:
            InvalidInput: the cluster refuses the spec for good (its webhooks, its schema), or its claim template does not fit.
            Conflict: a machine or Secret of that name belongs to somebody else, or the earlier one is still going.
            QuotaExceeded: a ResourceQuota of the namespace refuses it.
            NotFound: the namespace does not exist.
        """
        ...

    def look(self, namespace: str, name: str) -> Machine | None:
        """The machine as it is now; None if there is none of ours of that name, or nothing of it is left."""
        ...

    def restart(self, namespace: str, name: str, *, instance_uid: str) -> None:
        """End that very instance, gracefully, so that the cluster makes a new one. Another or no instance: nothing to do."""
        ...

    def destroy(self, namespace: str, name: str, *, instance_uid: str) -> None:
        """End that very instance at once, also if its guest or its node does not answer. Another or none: nothing to do."""
        ...

    def remove(self, namespace: str, name: str) -> None:
        """Begin to remove the machine with its Secret and disk; absent is success. `look` says when it is gone."""
        ...

    def owned(self) -> Sequence[Machine]:
        """Every machine that bears our mark, in any namespace."""
        ...

    def subscribe(self, listener: Listener) -> None:
        """Tell the listener when a look would show something else, until the connection is lost.

        Of a machine, `namespace/name`: DOMAIN_STARTED when it has come to run, DOMAIN_STOPPED for any other change. Of a node,
        by its name: DEVICES_CHANGED when it comes, goes, offers other devices, or takes machines or not. What pods of others
        use is not watched. Once, however often it is asked for.
        """
        ...

    def close(self) -> None:
        """Give up this caller's share of the connection. Idempotent."""
        ...


class MachineClusterConnector(Protocol):
    """Opens clusters."""

    def connect(self, uri: str) -> MachineCluster:
        """An open connection to the cluster of that URI, shared with earlier callers while it is alive.

        `kubevirt:` is the cluster that hikube's own store or process is in; `kubevirt://CONTEXT?kubeconfig=PATH` another one.

        Raises:
            InvalidInput: the URI cannot be understood.
            HostUnreachable: nobody answers.
            NotAllowed: the cluster refuses our credentials.
            Unsupported: it has no KubeVirt.
        """
        ...
