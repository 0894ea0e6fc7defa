"""Which of the PCI functions that a guest reports are the GPUs that were passed to it.

A device keeps its ids on the way into the guest and gets another address. The plan says which: firmware numbers buses in the
order of the root ports (planning/hardware/layout.py). A GPU that is where it was planned is that GPU; a guest that numbers
buses otherwise has its GPUs matched by ids, those of one model in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from provisioner.model.gpu_host import GpuFacts
from provisioner.model.guest_report import GuestFunction
from provisioner.model.pci import slot_of
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import GpuAssignment
from provisioner.planning.requests import gpu_label


@dataclass(frozen=True, slots=True)
class ExpectedGpu:
    """One assigned GPU, as it must show up."""

    host_address: str
    name: str
    label: str
    ids: frozenset[str]
    """`vendor:device`; the host's own if the host knows it, else every id of the model."""
    companion_ids: tuple[str, ...] = ()
    is_nvidia: bool = False
    nvidia_smi_names: tuple[str, ...] = ()
    planned_address: str = ""
    """Where the guest should find it; empty: not known."""

    def accepts_name(self, name: str) -> bool:
        """Whether nvidia-smi may call it so; a model without known names accepts any."""
        return not self.nvidia_smi_names or name.strip().lower() in {known.lower() for known in self.nvidia_smi_names}


def expected_gpus(
    assignments: Sequence[GpuAssignment], *, host_gpus: Iterable[GpuFacts], tables: Tables
) -> tuple[ExpectedGpu, ...]:
    """The assigned GPUs in order, with the ids that the host shows and the names that the catalogue knows.

    An assignment's `guest_address` says where the GPU is planned to be.
    """
    facts = {gpu.address: gpu for gpu in host_gpus}
    return tuple(_expected(assignment, facts=facts.get(assignment.address), tables=tables) for assignment in assignments)


def _expected(assignment: GpuAssignment, *, facts: GpuFacts | None, tables: Tables) -> ExpectedGpu:
    model = tables.gpus.resolve(assignment.name)
    ids = frozenset({facts.function.id}) if facts else frozenset(model.ids if model else ())
    assigned = set(assignment.companions)
    companions = [companion.id for companion in facts.companions if companion.address in assigned] if facts else []
    return ExpectedGpu(
        host_address=assignment.address,
        name=assignment.name,
        label=gpu_label(assignment.name, tables=tables),
        ids=ids,
        companion_ids=tuple(sorted(companions)),
        is_nvidia=model.is_nvidia if model else any(identifier.startswith("10de:") for identifier in ids),
        nvidia_smi_names=model.nvidia_smi_names if model else (),
        planned_address=assignment.guest_address,
    )


def located(expected: Iterable[ExpectedGpu], functions: Iterable[GuestFunction]) -> dict[str, str]:
    """Host address -> guest address of every GPU that is there with all of its companions in its slot."""
    by_slot: dict[str, list[GuestFunction]] = {}
    for function in sorted(functions, key=lambda function: function.address):
        by_slot.setdefault(slot_of(function.address), []).append(function)
    expected = tuple(expected)
    planned = {slot_of(gpu.planned_address): gpu for gpu in expected if gpu.planned_address}
    places = {
        gpu.host_address: members[0].address
        for slot, members in by_slot.items()
        if (gpu := planned.get(slot)) is not None and _is(gpu, members)
    }
    for gpu in expected:
        if gpu.host_address not in places and (found := _first(gpu, by_slot, taken=places.values())):
            places[gpu.host_address] = found
    return {gpu.host_address: places[gpu.host_address] for gpu in expected if gpu.host_address in places}


def _first(gpu: ExpectedGpu, by_slot: Mapping[str, Sequence[GuestFunction]], *, taken: Collection[str]) -> str:
    """The first slot that may be this GPU and is no other; empty if there is none."""
    for members in by_slot.values():
        if members[0].address not in taken and _is(gpu, members):
            return members[0].address
    return ""


def _is(gpu: ExpectedGpu, members: Sequence[GuestFunction]) -> bool:
    first, *others = [f"{function.vendor}:{function.device}" for function in members]
    return first in gpu.ids and not Counter(gpu.companion_ids) - Counter(others)
