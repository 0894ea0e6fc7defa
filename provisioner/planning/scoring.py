"""Which of the hosts that fit is best. One order for every VM, so that a choice can be read from its score.

Close GPUs first, since a guest suffers from distant ones for its whole life; then packing, so that whole hosts and whole NUMA
nodes stay free for those who need many GPUs. Fields are compared from top to bottom, smaller is better; the name settles the
rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from provisioner.planning.fitting import Fit
from provisioner.planning.fleet import HostView
from provisioner.planning.refusals import counted, memory_in_words
from provisioner.planning.requests import PlacementRequest


@dataclass(frozen=True, slots=True, order=True)
class Score:
    """A host's place in the order."""

    claims_elsewhere: int
    """GPUs of the request that the VM has not claimed on this host already: an interrupted start goes on where it was."""
    is_emulated: bool
    numa_nodes: int
    """Nodes that the GPUs are spread over; 0 for a VM without GPUs."""
    bridges: int
    gpus_on_host: int
    """For a VM without GPUs: how many GPUs the host has, since a host without any is the better home. Otherwise 0."""
    free_gpus_after: int
    free_gpus_on_node_after: int
    free_memory_after_mib: int
    host: str

    def in_words(self) -> str:
        """`1 NUMA node, 1 PCIe bridge, leaves 3 GPUs and 96 GiB free`."""
        return ", ".join(self._words())

    def _words(self) -> Iterator[str]:
        if self.is_emulated:
            yield "without KVM"
        if self.numa_nodes:
            yield counted(self.numa_nodes, "NUMA node")
            yield counted(self.bridges, "PCIe bridge")
        left = f"{counted(self.free_gpus_after, 'GPU')} and " if self.free_gpus_after or self.numa_nodes else ""
        yield f"leaves {left}{memory_in_words(self.free_memory_after_mib)} free"

    def as_dict(self) -> dict[str, Any]:
        """The score as data for `-o json`."""
        return asdict(self)


def score_of(fit: Fit, *, host: HostView, request: PlacementRequest) -> Score:
    """The score of this host for this request."""
    choice = fit.choice
    return Score(
        claims_elsewhere=request.gpu_count - sum(gpu.is_own for gpu in choice.gpus),
        is_emulated=fit.is_emulated,
        numa_nodes=choice.numa_nodes,
        bridges=choice.bridges,
        gpus_on_host=0 if request.gpus else len(host.gpus),
        free_gpus_after=fit.free_gpus_after,
        free_gpus_on_node_after=choice.left_on_node,
        free_memory_after_mib=fit.free_memory_after_mib,
        host=fit.host,
    )
