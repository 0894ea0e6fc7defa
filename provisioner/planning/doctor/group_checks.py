"""Checks of a GPU's IOMMU group: it is passed as a whole or not at all.

Endpoints of the same card are companions, which we bind together with the GPU. What cannot come along is named: another card, a
bridge on a driver of its own, more functions than a slot has.
"""

from __future__ import annotations

from collections.abc import Iterable

from provisioner.model.examination import FunctionExamination, Holder
from provisioner.model.gpu_host import GpuFacts
from provisioner.model.pci import slot_of
from provisioner.planning.doctor.checks import Answer, Found, GpuCase, Unknown

COMPANIONS_MAX = 7
"""A slot has eight functions, and the GPU is one."""
BRIDGE_DRIVERS = ("pcieport", "vfio-pci", "pci-stub", "")
"""A bridge on one of these does no DMA of its own, so that VFIO lets the group pass."""
OWN_PROCESSES = ("qemu", "CPU ", "libvirtd", "virtqemud")
"""Beginnings of the commands that hold a GPU for the VM that owns it."""
HOLDERS_NAMED = 5


def has_group(case: GpuCase) -> Answer:
    """Whether it is in a group at all; where the IOMMU is off, that says it for all of them."""
    function, seen = case.function, case.about.examination
    group = function.iommu_group if function is not None else case.gpu.iommu_group
    if group is not None or (seen.is_known and not seen.iommu_units):
        return None
    return Found("it is in no IOMMU group")


def shared_group(case: GpuCase) -> Answer:
    """Whether another card is in its group."""
    gpus = {gpu.address: gpu for gpu in case.about.host.status.gpus}
    foreign = [each for each in _members(case) if slot_of(each[0]) != slot_of(case.gpu.address)]
    if not foreign:
        return None
    number = case.function.iommu_group if case.function is not None else case.gpu.iommu_group
    names = ", ".join(f"{address} ({_what(gpus.get(address), id_, driver)})" for address, id_, driver in foreign)
    return Found(f"IOMMU group {number} also holds {names}")


def _members(case: GpuCase) -> list[tuple[str, str, str]]:
    """Address, id and driver of every endpoint of the group but the GPU: from inside, or else as libvirt tells it."""
    if case.function is not None:
        others: Iterable[tuple[str, str, str]] = (
            (each.address, f"{each.vendor}:{each.device}", each.driver) for each in case.endpoints
        )
    else:
        others = ((each.address, each.id, each.driver) for each in case.gpu.companions)
    return sorted(other for other in others if other[0] != case.gpu.address)


def _what(gpu: GpuFacts | None, id_: str, driver: str) -> str:
    if gpu is not None:
        return f"another GPU, {id_}"
    return f"{id_}, driver {driver}" if driver else id_


def bridges(case: GpuCase) -> Answer:
    """Whether a bridge of its group is on a driver that keeps the group from being passed."""
    wrong = [each for each in case.group if each.is_bridge and each.driver not in BRIDGE_DRIVERS]
    if not wrong:
        return None
    return Found("; ".join(f"bridge {each.address} of its group is on {each.driver}" for each in wrong))


def too_many_companions(case: GpuCase) -> Answer:
    """Whether everything that must travel with it fits into one slot of a guest."""
    count = len(_members(case))
    return Found(f"{count} functions would have to travel with it") if count > COMPANIONS_MAX else None


def holders(case: GpuCase) -> Answer:
    """Whether a process other than its own VM has it open."""
    if case.function is None:
        return Unknown("it is not among what was examined")
    found = sorted({_named(holder) for each in case.endpoints for holder in _strangers(case, each)})
    if not found:
        return None
    more = f" and {len(found) - HOLDERS_NAMED} more" if len(found) > HOLDERS_NAMED else ""
    return Found(f"it is held by {', '.join(found[:HOLDERS_NAMED])}{more}")


def _strangers(case: GpuCase, function: FunctionExamination) -> list[Holder]:
    return [holder for holder in function.holders if not (case.is_owned and holder.command.startswith(OWN_PROCESSES))]


def _named(holder: Holder) -> str:
    return f"{holder.command} (pid {holder.pid}, {holder.path})"
