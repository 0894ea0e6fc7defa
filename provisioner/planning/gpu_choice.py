"""Which of a host's free GPUs a VM gets: close together, and so that large groups stay whole for those who need them.

Three circles are tried from the inside out: GPUs under one PCIe bridge, on one NUMA node, on the host. Within the first
circle that can serve the request, the fullest NUMA node and then the fullest place is taken; ties go to the lower address.
Where a place spans several bridges, bridges are emptied whole before another is begun.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from provisioner.planning.fleet import GpuView, HostView
from provisioner.planning.requests import GpuNeed


@dataclass(frozen=True, slots=True)
class GpuChoice:
    """GPUs in the order in which the guest gets them, and how close they are."""

    gpus: tuple[GpuView, ...] = ()
    numa_node: int | None = None
    """The node that all of them are on; None if they are on several, or it is not known."""
    numa_nodes: int = 0
    """How many nodes they are spread over; unknown counts as one."""
    bridges: int = 0
    """How many PCIe bridges they sit under."""
    left_on_node: int = 0
    """Free GPUs that stay behind on the nodes touched."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Their PCI addresses on the host."""
        return tuple(gpu.facts.address for gpu in self.gpus)


Circle = Callable[[GpuView], Hashable]


def choose_gpus(host: HostView, needs: Sequence[GpuNeed], *, memory_mib: int = 0) -> GpuChoice | None:
    """The best GPUs of this host for these needs, or None if it has too few. `memory_mib` prefers a node that has it free.

    GPUs that the VM has claimed already come first, wherever they are: taking others would leave those behind.
    """
    free = [gpu for gpu in host.gpus if gpu.is_free]
    if not needs:
        return GpuChoice()
    if not _serves(free, needs):
        return None
    if any(gpu.is_own for gpu in free):
        return _described(_taken(free, needs), free=free)
    circles: tuple[Circle, ...] = (_bridge, _node, lambda _gpu: "")
    for circle in circles:
        places = [place for place in _grouped(free, circle) if _serves(place, needs)]
        if places:
            best = min(places, key=lambda place: _cost(place, free=free, host=host, memory_mib=memory_mib))
            return _described(_taken(best, needs), free=free)
    return None


def _bridge(gpu: GpuView) -> Hashable:
    return (gpu.facts.numa_node, gpu.facts.pcie_parent or gpu.facts.address)


def _node(gpu: GpuView) -> Hashable:
    return gpu.facts.numa_node


def _grouped(gpus: Iterable[GpuView], circle: Circle) -> list[list[GpuView]]:
    places: dict[Hashable, list[GpuView]] = {}
    for gpu in sorted(gpus, key=lambda gpu: gpu.facts.address):
        places.setdefault(circle(gpu), []).append(gpu)
    return list(places.values())


def _serves(gpus: Iterable[GpuView], needs: Sequence[GpuNeed]) -> bool:
    names = [gpu.facts.name for gpu in gpus]
    return all(names.count(need.name) >= need.count for need in needs)


def _cost(place: list[GpuView], *, free: list[GpuView], host: HostView, memory_mib: int) -> tuple[bool, int, int, str]:
    """Smaller is better: memory beside it, few free GPUs on its node, few in the place itself, the lower address."""
    nodes = {gpu.facts.numa_node for gpu in place}
    node = next(iter(nodes)) if len(nodes) == 1 else None
    is_short = node is not None and host.free_memory_of_node_mib.get(node, memory_mib) < memory_mib
    on_nodes = sum(gpu.facts.numa_node in nodes for gpu in free)
    return (is_short, on_nodes, len(place), place[0].facts.address)


def _taken(place: list[GpuView], needs: Sequence[GpuNeed]) -> list[GpuView]:
    """As many of each model as needed, in the order of the needs and then of their addresses."""
    taken: list[GpuView] = []
    for need in needs:
        of_model = [gpu for gpu in place if gpu.facts.name == need.name]
        own = [gpu for gpu in of_model if gpu.is_own][: need.count]
        rest = _whole_bridges([gpu for gpu in of_model if not gpu.is_own], count=need.count - len(own))
        taken += sorted(own + rest, key=lambda gpu: gpu.facts.address)
    return taken


def _whole_bridges(gpus: list[GpuView], *, count: int) -> list[GpuView]:
    """`count` of these GPUs over as few bridges as greed finds: the smallest that suffices, else the largest and go on."""
    taken: list[GpuView] = []
    bridges = _grouped(gpus, _bridge)
    while len(taken) < count:
        missing = count - len(taken)
        enough = [bridge for bridge in bridges if len(bridge) >= missing]
        chosen = min(enough, key=len) if enough else max(bridges, key=len)
        bridges.remove(chosen)
        taken += chosen[:missing]
    return taken


def _described(gpus: list[GpuView], *, free: list[GpuView]) -> GpuChoice:
    nodes = {gpu.facts.numa_node for gpu in gpus}
    return GpuChoice(
        gpus=tuple(gpus),
        numa_node=next(iter(nodes)) if len(nodes) == 1 else None,
        numa_nodes=len(nodes),
        bridges=len({_bridge(gpu) for gpu in gpus}),
        left_on_node=sum(gpu.facts.numa_node in nodes for gpu in free) - len(gpus),
    )
