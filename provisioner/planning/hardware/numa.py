"""Which NUMA nodes a guest with GPUs lives on, what it sees of them, and which host CPU runs which vCPU.

The nodes are those of its GPUs. The guest gets a node of its own for each, with an even share of vCPUs and memory, so that what
its schedulers and libraries see is true. A guest whose node is not known, or on a host with one node, is left alone.

CPUs are shared out by GPU: the cores of a node belong in equal slices, in the order of addresses, to the GPUs beside them. Who
owns the GPU owns its slice, so two VMs are never pinned to the same CPU although neither is asked about the other: the claim on
the GPU is the lock on its CPUs too.

    node 0: cores 0-15   GPU 41:00.0 -> 0-7, GPU 42:00.0 -> 8-15
    enough in its slices:   each vCPU has a CPU for itself, QEMU's own threads run on what is left of them
    enough on the node:     vCPUs move freely within the node
    too few on the node:    nothing is pinned; memory still comes from the node
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from provisioner.model.gpu_host import GPUHost, NumaNode
from provisioner.model.sizing import GuestSize
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.planning.hardware.choices import Choice
from provisioner.planning.plans import NumaCell, VcpuPin
from provisioner.planning.refusals import counted, joined, memory_in_words

_UNITS_MIB = (1024, 2, 1)
"""Cells are made of the largest of these that the guest's memory is made of: huge pages must not straddle two cells."""


@dataclass(frozen=True, slots=True)
class NumaLayout:
    """The guest's nodes; all empty where nothing is known or nothing is to be gained."""

    cells: tuple[NumaCell, ...] = ()
    pins: tuple[VcpuPin, ...] = ()
    emulator_cpuset: str = ""
    choices: tuple[Choice, ...] = ()

    def cell_of(self, host_node: int | None) -> int | None:
        """The guest's node that stands for a host's."""
        return next((cell.id for cell in self.cells if cell.host_node == host_node), None)


def numa_of(vm: VirtualMachine, *, size: GuestSize, host: GPUHost) -> NumaLayout:
    """Nodes, cells and pins of this VM with the GPUs that its status says it owns."""
    if not vm.status.gpus or len(host.status.numa_nodes) < 2:
        return NumaLayout()
    nodes = _nodes_of_gpus(vm, host)
    if nodes is None:
        return NumaLayout(choices=(Choice("NUMA", "anywhere", "the host does not say which node each GPU is on"),))
    if size.vcpus < len(nodes) or size.memory_mib < len(nodes):
        why = f"{counted(size.vcpus, 'vCPU')} cannot be spread over the {len(nodes)} nodes of its GPUs"
        return NumaLayout(choices=(Choice("NUMA", "anywhere", why),))
    cells = tuple(_cells(nodes, size=size))
    pins, emulator, pinning = _pins(vm, host, nodes=nodes, cells=cells)
    return NumaLayout(cells, pins, emulator, (_placing(cells), pinning))


def sockets_of(size: GuestSize, cells: Sequence[NumaCell]) -> tuple[int, int]:
    """Sockets and cores of each: a socket lies on one node wherever it can, since guests take a node to be whole sockets."""
    if len(cells) > 1 and size.sockets == 1 and size.vcpus % len(cells) == 0:
        return len(cells), size.vcpus // len(cells)
    return size.sockets, size.cores_per_socket


def cpu_ranges(cpus: Iterable[int]) -> str:
    """`0-3,8-11`."""
    runs: list[list[int]] = []
    for cpu in sorted(cpus):
        if runs and cpu == runs[-1][-1] + 1:
            runs[-1].append(cpu)
        else:
            runs.append([cpu])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _nodes_of_gpus(vm: VirtualMachine, host: GPUHost) -> tuple[NumaNode, ...] | None:
    """The nodes by id; None if one of the GPUs is on none that is known."""
    node_of = {gpu.address: gpu.numa_node for gpu in host.status.gpus}
    wanted = {node_of.get(gpu.address) for gpu in vm.status.gpus}
    nodes = tuple(node for node in sorted(host.status.numa_nodes, key=lambda node: node.id) if node.id in wanted)
    return nodes if len(nodes) == len(wanted) else None


def _cells(nodes: Sequence[NumaNode], *, size: GuestSize) -> Iterable[NumaCell]:
    first = 0
    unit = next(unit for unit in _UNITS_MIB if size.memory_mib % unit == 0 and size.memory_mib // unit >= len(nodes))
    for index, node in enumerate(nodes):
        vcpus = _share(size.vcpus, of=len(nodes), index=index)
        memory_mib = unit * _share(size.memory_mib // unit, of=len(nodes), index=index)
        yield NumaCell(id=index, host_node=node.id, first_vcpu=first, vcpus=vcpus, memory_mib=memory_mib)
        first += vcpus


def _share(amount: int, *, of: int, index: int) -> int:
    """An even share; what is left over goes to the first ones."""
    return amount // of + (index < amount % of)


def _pins(
    vm: VirtualMachine, host: GPUHost, *, nodes: Sequence[NumaNode], cells: Sequence[NumaCell]
) -> tuple[tuple[VcpuPin, ...], str, Choice]:
    for node, cell in zip(nodes, cells, strict=True):
        if cell.vcpus > len(node.cpus):
            why = f"node {node.id} has {counted(len(node.cpus), 'CPU')}, too few for {counted(cell.vcpus, 'vCPU')}"
            return (), "", Choice("vCPUs", "not pinned", why)
    slices = [_slices(vm, host, node=node) for node in nodes]
    if all(cell.vcpus <= len(own) for cell, own in zip(cells, slices, strict=True)):
        return _one_to_one(nodes, cells=cells, slices=slices)
    pins = [_pin(vcpu, node.cpus) for node, cell in zip(nodes, cells, strict=True) for vcpu in _vcpus(cell)]
    everywhere = cpu_ranges(cpu for node in nodes for cpu in node.cpus)
    why = "beside the GPUs; more than the CPUs that belong to these GPUs alone, so they move within the node"
    return tuple(pins), everywhere, Choice("vCPUs", f"on CPUs {everywhere}", why)


def _one_to_one(
    nodes: Sequence[NumaNode], *, cells: Sequence[NumaCell], slices: Sequence[tuple[int, ...]]
) -> tuple[tuple[VcpuPin, ...], str, Choice]:
    pins: list[VcpuPin] = []
    left: list[int] = []
    for cell, own in zip(cells, slices, strict=True):
        pins += [_pin(vcpu, (cpu,)) for vcpu, cpu in zip(_vcpus(cell), own, strict=False)]
        left += own[cell.vcpus :]
    emulator = cpu_ranges(left or [cpu for node in nodes for cpu in node.cpus])
    taken = cpu_ranges(int(pin.cpuset) for pin in pins)
    why = f"one CPU each, of those that belong to the GPUs beside them; QEMU's own threads run on {emulator}"
    return tuple(pins), emulator, Choice("vCPUs", f"pinned to CPUs {taken}", why)


def _slices(vm: VirtualMachine, host: GPUHost, *, node: NumaNode) -> tuple[int, ...]:
    """CPUs of the node that belong to this VM's GPUs: a thread of each core before the second one of any.

    The guest takes each vCPU for a core, and so each is one for as long as there are as many.
    """
    own = {gpu.address for gpu in vm.status.gpus}
    beside = sorted(gpu.address for gpu in host.status.gpus if gpu.numa_node == node.id)
    cores = node.cores or tuple((cpu,) for cpu in sorted(node.cpus))
    slices = [cores[k * len(cores) // len(beside) : (k + 1) * len(cores) // len(beside)] for k in range(len(beside))]
    found = [core for address, part in zip(beside, slices, strict=True) if address in own for core in part]
    return tuple(core[thread] for thread in range(max(map(len, found), default=0)) for core in found if thread < len(core))


def _pin(vcpu: int, cpus: Sequence[int]) -> VcpuPin:
    return VcpuPin(vcpu, cpu_ranges(cpus))


def _vcpus(cell: NumaCell) -> range:
    return range(cell.first_vcpu, cell.first_vcpu + cell.vcpus)


def _placing(cells: Sequence[NumaCell]) -> Choice:
    if len(cells) == 1:
        return Choice("NUMA", f"host node {cells[0].host_node}", "all GPUs are on it; the guest sees it as its node 0")
    shares = joined(f"{cell.vcpus} and {memory_in_words(cell.memory_mib)} on {cell.host_node}" for cell in cells)
    nodes = joined(str(cell.host_node) for cell in cells)
    return Choice("NUMA", f"host nodes {nodes}", f"its GPUs are there; vCPUs and memory go with them: {shares}")
