"""What a lab is made of: hosts, their memory and CPUs, and the stand-in GPUs in them.

Pure values: nothing here starts, reads or writes anything. A topology is what the user asked for; it is stored beside the lab
as JSON and compared on the next `create`, so `to_data` and `from_data` must be inverses.

Invariants: a stand-in sits on a NUMA node that its host has; names are fit for a file, a host name and a libvirt URI.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from provisioner.model.errors import InvalidInput

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?\Z")
MAX_HOSTS = 8
MAX_STAND_INS = 16
MAX_NUMA_NODES = 4
MIN_MEMORY_MIB = 1024
MAX_VCPUS = 16


class StandInModel(enum.StrEnum):
    """Which emulated device plays the GPU (function 0); function 1 is always an audio function, as on a real card.

    BOCHS is a display device with a DRM driver and only a bus reset. NVME does real DMA, has a function level reset and a
    host driver that takes it. virtio-gpu is not offered: guests that hold it reset by themselves.
    """

    BOCHS = "bochs"
    NVME = "nvme"


@dataclass(frozen=True, slots=True)
class StandIn:
    """One stand-in GPU with its audio companion, behind a PCIe root port of its own, in one IOMMU group.

    Without a NUMA node it hangs off the machine's main PCIe root and the kernel reports node -1, as small real hosts do.
    """

    model: StandInModel = StandInModel.BOCHS
    numa_node: int | None = None


@dataclass(frozen=True, slots=True)
class LabHost:
    """One GPU host in a box. Memory and CPUs are split evenly over its NUMA nodes.

    Without ACS, all stand-ins sit on one conventional bus below a bridge, where nothing isolates them: one IOMMU group, as on
    boards where ACS is missing or switched off. Such a host has one NUMA node.
    """

    name: str
    memory_mib: int = 6144
    vcpus: int = 2
    numa_nodes: int = 1
    gpus: tuple[StandIn, ...] = (StandIn(),)
    acs: bool = True

    def __post_init__(self) -> None:
        _check_name("host", self.name)
        _check_range("memory of a lab host in MiB", self.memory_mib, MIN_MEMORY_MIB, 1 << 20)
        _check_range("NUMA nodes of a lab host", self.numa_nodes, 1, MAX_NUMA_NODES)
        _check_range("vCPUs of a lab host", self.vcpus, self.numa_nodes, MAX_VCPUS)
        _check_range("stand-in GPUs of a lab host", len(self.gpus), 0, MAX_STAND_INS)
        if not self.acs and self.numa_nodes > 1:
            raise InvalidInput(f"host {self.name!r} cannot be without ACS and have several NUMA nodes")
        for index, gpu in enumerate(self.gpus):
            if gpu.numa_node is not None and not 0 <= gpu.numa_node < self.numa_nodes:
                raise InvalidInput(
                    f"stand-in {index} of host {self.name!r} cannot be on NUMA node {gpu.numa_node}",
                    why=f"the host has {self.numa_nodes} NUMA node(s), counted from 0",
                )


@dataclass(frozen=True, slots=True)
class LabTopology:
    """A named set of hosts that are created and deleted together."""

    name: str
    hosts: tuple[LabHost, ...]

    def __post_init__(self) -> None:
        _check_name("lab", self.name)
        _check_range("hosts of a lab", len(self.hosts), 1, MAX_HOSTS)
        names = [host.name for host in self.hosts]
        if len(set(names)) != len(names):
            raise InvalidInput(f"the hosts of lab {self.name!r} must have different names", why=", ".join(names))

    def to_data(self) -> dict[str, Any]:
        """The topology as JSON-ready data; `from_data` reads it back."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> LabTopology:
        """The inverse of `to_data`.

        Raises:
            InvalidInput: the data is no topology.
        """
        try:
            hosts = tuple(LabHost(**{**host, "gpus": tuple(_stand_in(gpu) for gpu in host["gpus"])}) for host in data["hosts"])
            return cls(name=data["name"], hosts=hosts)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput("the lab's topology cannot be read", why=f"{type(error).__name__}: {error}") from error


def uniform(
    name: str,
    *,
    hosts: int = 1,
    gpus: int = 1,
    model: StandInModel = StandInModel.BOCHS,
    numa_nodes: int = 1,
    memory_mib: int = 6144,
    vcpus: int = 2,
    acs: bool = True,
) -> LabTopology:
    """Equal hosts, named `<name>` if there is one and `<name>-1`, `<name>-2`, ... otherwise.

    With several NUMA nodes the stand-ins are dealt to them in turn.
    """
    _check_range("hosts of a lab", hosts, 1, MAX_HOSTS)
    stand_ins = tuple(StandIn(model, index % numa_nodes if numa_nodes > 1 else None) for index in range(gpus))
    names = [name] if hosts == 1 else [f"{name}-{number}" for number in range(1, hosts + 1)]
    return LabTopology(
        name,
        tuple(
            LabHost(each, memory_mib=memory_mib, vcpus=vcpus, numa_nodes=numa_nodes, gpus=stand_ins, acs=acs) for each in names
        ),
    )


def _stand_in(data: Mapping[str, Any]) -> StandIn:
    return StandIn(StandInModel(data["model"]), data["numa_node"])


def _check_name(kind: str, name: str) -> None:
    if not NAME.match(name):
        raise InvalidInput(
            f"{name!r} is no name for a {kind}",
            why="a name has 1 to 30 lower-case letters, digits and inner hyphens",
        )


def _check_range(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InvalidInput(f"{value} is out of range for the {what}", why=f"it must be from {low} to {high}")
