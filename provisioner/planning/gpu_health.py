"""Did a GPU die under its VM? What the host side can tell of a GPU that is passed through: presence, config space, AER, link.

A GPU on vfio-pci is invisible to NVIDIA's tools on the host, so Xids and ECC counts come from inside the guest (proof.py) or
not at all. Death is only what no driver of the guest can mend; everything less is a warning. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from provisioner.model.examination import AerCounts, FunctionExamination, HostExamination
from provisioner.model.gpu_host import GPUHost, Quarantine
from provisioner.model.virtual_machine import GpuAssignment

MISSING = "Missing"
CONFIG_SPACE_DEAD = "ConfigSpaceDead"
FATAL_PCIE_ERROR = "FatalPcieError"
GUEST_FAULT = "GuestFault"
"""Cause of a quarantine for what a guest reported before it was Ready: an Xid, an uncorrectable ECC error, a lost GPU."""
ACCUSED_MAX = 4
"""How many GPUs a namespace can take out of service by its guests' word alone, until an operator has looked at one of them."""
DEATHS = frozenset({MISSING, CONFIG_SPACE_DEAD, FATAL_PCIE_ERROR})
"""Causes of a quarantine that say that the GPU stopped working while somebody had it."""


@dataclass(frozen=True, slots=True)
class Ailment:
    """What is wrong with one GPU."""

    cause: str
    """One CamelCase word."""
    message: str

    @property
    def is_death(self) -> bool:
        """Whether the GPU works no more, as against worse than it could."""
        return self.cause in DEATHS


@dataclass(frozen=True, slots=True)
class Watched:
    """One GPU of a VM, as it was when it was bound."""

    address: str
    is_in_survey: bool
    """Whether the host's last survey, of just now, shows it."""
    is_gone: bool = False
    """Not in the survey, and a second look by its address found nothing either: one list alone may be a moment old."""
    aer_at_bind: AerCounts | None = None


def ailments(gpu: Watched, examination: HostExamination) -> tuple[Ailment, ...]:
    """All that is wrong with it, the gravest first; nothing for a healthy one, and for one that could not be asked about."""
    seen = examination.function(gpu.address) if examination.is_known else None
    found = [*_absence(gpu, seen, examination), *(_of_function(seen, gpu.aer_at_bind) if seen is not None else ())]
    return tuple(sorted(found, key=lambda ailment: not ailment.is_death))


def _absence(gpu: Watched, seen: FunctionExamination | None, examination: HostExamination) -> Iterator[Ailment]:
    is_absent = seen is None if examination.is_known else gpu.is_gone
    if is_absent and not gpu.is_in_survey:
        yield Ailment(MISSING, "it fell off the bus: the host does not show it any more")


def _of_function(seen: FunctionExamination, at_bind: AerCounts | None) -> Iterator[Ailment]:
    if seen.config_alive is False:
        yield Ailment(CONFIG_SPACE_DEAD, "its config space reads as all ones: the device does not answer any more")
    if seen.aer is not None and at_bind is not None:
        yield from _errors(seen.aer, at_bind)
    if seen.link_width is not None and seen.link_width_max is not None and 0 < seen.link_width < seen.link_width_max:
        yield Ailment("LinkDegraded", f"its link has {seen.link_width} of {seen.link_width_max} lanes")


def _errors(now: AerCounts, at_bind: AerCounts) -> Iterator[Ailment]:
    """Counts begin anew with every boot of the host; fewer than before say nothing."""
    if now.fatal > at_bind.fatal:
        yield Ailment(FATAL_PCIE_ERROR, f"{now.fatal - at_bind.fatal} fatal PCIe errors (AER) since it was bound")
    if now.nonfatal > at_bind.nonfatal:
        yield Ailment("PcieErrors", f"{now.nonfatal - at_bind.nonfatal} uncorrected PCIe errors (AER) since it was bound")


@dataclass(frozen=True, slots=True)
class Health:
    """What the condition `GPUHealthy` of a VM says."""

    is_healthy: bool
    reason: str
    message: str = ""


def health_of(assignments: tuple[GpuAssignment, ...], host: GPUHost) -> Health:
    """Of a VM with GPUs: False if one of them died while the VM had it, by the host's record of it."""
    deaths = {entry.address: entry for entry in host.status.quarantined if entry.cause in DEATHS}
    lost = [deaths[gpu.address] for gpu in assignments if gpu.address in deaths]
    if lost:
        return Health(False, lost[0].cause, "; ".join(_sentence(entry, host) for entry in lost))
    notes = [
        f"{facts.address}: {facts.health_message}"
        for facts in host.status.gpus
        if facts.health_message and facts.address in {gpu.address for gpu in assignments}
    ]
    return Health(True, "Healthy", "; ".join(notes))


def _sentence(entry: Quarantine, host: GPUHost) -> str:
    return f"GPU {entry.address} of {host.metadata.name}: {entry.reason}"


def may_accuse(namespace: str, hosts: Iterable[GPUHost]) -> bool:
    """Whether the word of a guest of that namespace is enough: root of a guest can write any Xid into its own log."""
    entries = (entry for host in hosts for entry in host.status.quarantined)
    return sum(entry.accuser == namespace for entry in entries) < ACCUSED_MAX
