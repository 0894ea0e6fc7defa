"""Where passed functions sit in the guest.

Each GPU gets a PCIe root port of its own: directly on the root complex it would be an integrated endpoint, which NVIDIA's
driver refuses. Its companions (audio, USB) share its slot as on the physical card. In a guest with NUMA nodes the ports of the
GPUs of a node sit on a PCIe root of its own that belongs to the node, so that each GPU's `numa_node` in the guest is right.

    without nodes                               with nodes
    pcie.0 -+- root port 1 -- GPU, audio        pcie.0 -+- root ports of virtio devices, and one spare
            +- root port 2 -- GPU                       +- expander, bus 64, node 0 -+- root port -- GPU, audio  (65:00.0, .1)
            +- ports of virtio, one spare               |                            +- root port -- GPU         (66:00.0)
                                                        +- expander, bus 96, node 1 --- root port -- GPU         (97:00.0)

Firmware numbers buses in the order of the ports, so the guest's address of every function is known. Expanders follow the order
of the assignments; the guest's order is that of the assignments too, unless nodes alternate in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from provisioner.model.errors import Unsupported
from provisioner.model.virtual_machine import GpuAssignment
from provisioner.planning.plans import ExpanderBus, PassedFunction

SPARE_PORTS = 1
_FUNCTIONS_OF_A_SLOT = 8
_FIRST_EXPANDER_BUS = 64
_BUSES = 256
_BUSES_OF_AN_EXPANDER = 32


@dataclass(frozen=True, slots=True)
class Layout:
    """Controllers and functions."""

    root_ports: int
    expanders: tuple[ExpanderBus, ...]
    functions: tuple[PassedFunction, ...]


def layout_of(assignments: Sequence[GpuAssignment], *, virtio_devices: int, cells: Mapping[str, int]) -> Layout:
    """Ports for all GPUs and so many virtio devices. `cells` says each GPU's NUMA node in the guest; empty: it has none.

    Raises:
        Unsupported: a GPU has more companions than a slot has functions, or buses run out.
    """
    if not cells:
        functions = [each for index, gpu in enumerate(assignments) for each in _slot(gpu, index=index, port=index + 1)]
        return Layout(len(assignments) + virtio_devices + SPARE_PORTS, (), tuple(functions))
    root_ports = virtio_devices + SPARE_PORTS
    expanders = tuple(_expanders([cells[gpu.address] for gpu in assignments], first_index=root_ports + 1))
    free = {each.cell: list(enumerate(each.ports)) for each in expanders}
    number = {each.cell: each.bus_number for each in expanders}
    found: list[PassedFunction] = []
    for index, gpu in enumerate(assignments):
        cell = cells[gpu.address]
        slot, port = free[cell].pop(0)
        found += _slot(gpu, index=index, port=port, bus=number[cell] + 1 + slot, cell=cell)
    return Layout(root_ports, expanders, tuple(found))


def _expanders(cells: Sequence[int], *, first_index: int) -> Iterable[ExpanderBus]:
    """One for each cell that has GPUs, in the order in which they are assigned. The main root keeps the buses below."""
    first_bus = max(_FIRST_EXPANDER_BUS, -(-(first_index + 1) // 8) * 8)
    order = list(dict.fromkeys(cells))
    room = min(_BUSES_OF_AN_EXPANDER, (_BUSES - first_bus) // len(order))
    index = first_index
    for position, cell in enumerate(order):
        count = cells.count(cell)
        if count >= room:
            raise Unsupported("The guest has more PCI devices than buses", why=f"{count} GPUs want a root with {room} buses")
        ports = tuple(range(index + 1, index + 1 + count))
        yield ExpanderBus(index=index, bus_number=first_bus + position * room, cell=cell, ports=ports)
        index += 1 + count


def _slot(
    assignment: GpuAssignment, *, index: int, port: int, bus: int | None = None, cell: int | None = None
) -> Iterable[PassedFunction]:
    """The functions of one GPU on its port; on the main root a port's bus has the number of the port."""
    members = (assignment.address, *sorted(assignment.companions))
    if len(members) > _FUNCTIONS_OF_A_SLOT:
        raise Unsupported(
            f"GPU {assignment.address} cannot be passed to a guest",
            why=f"{len(members) - 1} companions travel with it; a slot has room for {_FUNCTIONS_OF_A_SLOT - 1}",
        )
    for number, address in enumerate(members):
        yield PassedFunction(
            host_address=address,
            port=port,
            guest_bus=port if bus is None else bus,
            guest_function=number,
            is_multifunction=number == 0 and len(members) > 1,
            alias=f"ua-gpu{index}" if number == 0 else f"ua-gpu{index}-{number}",
            numa_cell=cell,
        )
