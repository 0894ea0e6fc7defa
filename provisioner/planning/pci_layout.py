"""Where passed functions sit in the guest, and how much address space they need there.

Each GPU gets a PCIe root port of its own: directly on the root complex it would be an integrated endpoint, which NVIDIA's
driver refuses. Its companions (audio, USB) share its slot as on the physical card. Ports are numbered from 1 in the order of
the GPUs, so the guest finds them in that order.

    pcie.0 -+- root port 1 -- 0: GPU, 1: its audio function
            +- root port 2 -- 0: GPU
            +- root ports for virtio devices, and one spare
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from provisioner.model.catalogue import GpuCatalogue
from provisioner.model.errors import Unsupported
from provisioner.model.gpu_host import GpuFacts
from provisioner.model.virtual_machine import GpuAssignment
from provisioner.planning.plans import PassedFunction
from provisioner.planning.refusals import joined

DEFAULT_HOLE_BYTES = 32 * 2**30
"""QEMU's own 64-bit window on q35; only a larger need is written into the domain."""
SPARE_PORTS = 1
_FUNCTIONS_OF_A_SLOT = 8


def passed_functions(assignments: Sequence[GpuAssignment]) -> tuple[PassedFunction, ...]:
    """Every function of every GPU with its guest slot.

    Raises:
        Unsupported: a GPU has more companions than a slot has functions.
    """
    return tuple(function for index, assignment in enumerate(assignments) for function in _slot(assignment, index=index))


def _slot(assignment: GpuAssignment, *, index: int) -> Iterable[PassedFunction]:
    members = (assignment.address, *sorted(assignment.companions))
    if len(members) > _FUNCTIONS_OF_A_SLOT:
        raise Unsupported(
            f"GPU {assignment.address} cannot be passed to a guest",
            why=f"{len(members) - 1} companions travel with it; a slot has room for {_FUNCTIONS_OF_A_SLOT - 1}",
        )
    for number, address in enumerate(members):
        yield PassedFunction(
            host_address=address,
            guest_bus=index + 1,
            guest_function=number,
            is_multifunction=number == 0 and len(members) > 1,
            alias=f"ua-gpu{index}" if number == 0 else f"ua-gpu{index}-{number}",
        )


def hole_bytes(
    assignments: Sequence[GpuAssignment], *, facts: Mapping[str, GpuFacts], catalogue: GpuCatalogue
) -> tuple[int, str]:
    """The 64-bit window that all BARs fit into with their alignment, and the sentence that says where the sizes are from.

    Whole GiB; 0 where no size is known. BARs are aligned to their size, so twice the sum of their next powers of two suffices.
    """
    measured, from_tables = 0, 0
    for assignment in assignments:
        known = facts[assignment.address].bar_bytes if assignment.address in facts else ()
        if known:
            measured += sum(_power_of_two(size) for size in known)
        elif model := catalogue.resolve(assignment.name):
            from_tables += _power_of_two(model.bar1_mib * 2**20) if model.bar1_mib else 0
    window = -(-2 * (measured + from_tables) // 2**30) * 2**30
    sources = [source for amount, source in ((measured, "read on the host"), (from_tables, "of the catalogue")) if amount]
    return window, f"BAR sizes {joined(sources)}"


def _power_of_two(size: int) -> int:
    """The next power of two, `size` itself if it is one."""
    return 1 << max(0, size - 1).bit_length()
