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

UNKNOWN_PLACE = "#"


@dataclass(frozen=True, slots=True)
class ExpectedGpu:
    """One assigned GPU, as it must show up."""

    host_address: str
    """On the host; `#1`, `#2`, … where a cluster did not tell which GPU it gave."""
    name: str
    label: str
    ids: frozenset[str]
    """`vendor:device`; the host's own if the host knows it, else every id of the model."""
    companion_ids: tuple[str, ...] = ()
    is_nvidia: bool = False
    nvidia_smi_names: tuple[str, ...] = ()
    planned_address: str = ""
    """Where the guest should find it; empty: not known."""

    @property
    def whereabouts(self) -> str:
        """For sentences: `at 0000:41:00.0 of the host`, or `#1`."""
        return self.host_address if self.host_address.startswith(UNKNOWN_PLACE) else f"at {self.host_address} of the host"

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


def expected_by_count(
    names: Iterable[str], *, ids: Mapping[str, str], tables: Tables, addresses: Sequence[str] = ()
) -> tuple[ExpectedGpu, ...]:
    """GPUs of these models, of which nobody told where they are: `#1`, `#2`, …, or the addresses that a cluster told.

    Args:
        names: canonical, one for each GPU.
        ids: the `vendor:device` that the cluster's selector names, by model; the catalogue's own count as well.
        tables: for what the catalogue knows of the models.
        addresses: on the host, if they are as many as the names.
    """
    names = tuple(names)
    places = addresses if len(addresses) == len(names) else [f"{UNKNOWN_PLACE}{number + 1}" for number in range(len(names))]
    return tuple(_of_model(name, place, ids.get(name, ""), tables) for name, place in zip(names, places, strict=True))


def _of_model(name: str, place: str, selected: str, tables: Tables) -> ExpectedGpu:
    model = tables.gpus.resolve(name)
    ids = frozenset({*(model.ids if model else ()), selected} - {""})
    return ExpectedGpu(
        host_address=place,
        name=name,
        label=gpu_label(name, tables=tables),
        ids=ids,
        is_nvidia=model.is_nvidia if model else any(identifier.startswith("10de:") for identifier in ids),
        nvidia_smi_names=model.nvidia_smi_names if model else (),
    )


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
