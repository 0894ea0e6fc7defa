"""Every reason why a host cannot take a VM, with the numbers behind it and the words for people.

A reason is a stable CamelCase word for programs; its position in `Reason` says how fundamental it is, which decides the one
reason that a host is counted under. A refusal says two things: what is so (`message`), and what would have to be there
(`lacks`).
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


class Reason(enum.StrEnum):
    """Why not, most fundamental first."""

    PINNED_ELSEWHERE = "PinnedElsewhere"
    """The VM's disk is on another host."""
    NOT_FOR_TENANT = "NotForTenant"
    """A quota of the VM's namespace keeps it for others."""
    BEING_REMOVED = "BeingRemoved"
    UNREACHABLE = "Unreachable"
    CORDONED = "Cordoned"
    LABELS_DIFFER = "LabelsDiffer"
    WRONG_GPU_MODEL = "WrongGPUModel"
    """The host has no GPU of that model at all."""
    NOT_PERMITTED = "NotPermitted"
    """A cluster has the GPU and does not let machines have it."""
    NO_VFIO = "NoVFIO"
    """It has the GPUs and cannot pass them: no IOMMU, or no VFIO in its hypervisor."""
    KVM_BROKEN = "KvmBroken"
    """KVM does not run guests there, and emulation is not allowed."""
    KVM_UNPROVEN = "KvmUnproven"
    """Nobody has tried yet."""
    FIRMWARE_MISSING = "FirmwareMissing"
    BARS_TOO_LARGE = "BarsTooLarge"
    """The GPUs' memory regions do not fit into what a guest of that host can address."""
    NETWORK_MISSING = "NetworkMissing"
    POOL_MISSING = "PoolMissing"
    DISK_UNAVAILABLE = "DiskUnavailable"
    """A cluster that cannot make the VM's disks."""
    GROUP_SHARED = "GroupShared"
    """Enough GPUs, were they not in an IOMMU group with another card."""
    GPUS_RETIRED = "GPUsRetired"
    """Enough GPUs, were they not retired."""
    GPUS_QUARANTINED = "GPUsQuarantined"
    """Enough GPUs, were they not quarantined."""
    GPUS_UNHEALTHY = "GPUsUnhealthy"
    """Enough GPUs, were they all there and usable."""
    GPUS_BEING_CLEANED = "GPUsBeingCleaned"
    """Enough GPUs, were they clean already: their last owner has let go of them."""
    INSUFFICIENT_GPUS = "InsufficientGPUs"
    INSUFFICIENT_MEMORY = "InsufficientMemory"
    INSUFFICIENT_CPUS = "InsufficientCPUs"
    INSUFFICIENT_STORAGE = "InsufficientStorage"
    INSUFFICIENT_EXTERNAL_ADDRESSES = "InsufficientExternalAddresses"


NO_HOSTS = "NoHosts"
"""The reason of a refusal by an empty fleet."""

FUNDAMENTAL = {reason: position for position, reason in enumerate(Reason)}

_SOMETHING_ENDS = frozenset(
    {
        Reason.GPUS_BEING_CLEANED,
        Reason.INSUFFICIENT_GPUS,
        Reason.INSUFFICIENT_MEMORY,
        Reason.INSUFFICIENT_CPUS,
        Reason.INSUFFICIENT_STORAGE,
        Reason.INSUFFICIENT_EXTERNAL_ADDRESSES,
    }
)
_OPERATOR_ACTS = frozenset(
    {Reason.CORDONED, Reason.KVM_UNPROVEN, Reason.UNREACHABLE, Reason.GPUS_QUARANTINED, Reason.GPUS_UNHEALTHY}
)
_HOST_IS_CHANGED = frozenset(
    {
        Reason.GROUP_SHARED,
        Reason.NETWORK_MISSING,
        Reason.POOL_MISSING,
        Reason.NOT_PERMITTED,
        Reason.DISK_UNAVAILABLE,
        Reason.KVM_BROKEN,
        Reason.NO_VFIO,
        Reason.FIRMWARE_MISSING,
        Reason.BARS_TOO_LARGE,
    }
)


def distance(reason: Reason) -> int:
    """How far a host with this refusal is from a yes.

    0: another VM ends; 1: the operator acts; 2: the host is changed; 3: it is the wrong host.
    """
    for steps, reasons in enumerate((_SOMETHING_ENDS, _OPERATOR_ACTS, _HOST_IS_CHANGED)):
        if reason in reasons:
            return steps
    return 3


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason of one host."""

    reason: Reason
    message: str
    """What is so, for this host alone: `0 of 1 L40S free`."""
    lacks: str
    """What a yes would need, as a noun: `24 GiB of memory`."""
    needed: int | None = None
    available: int | None = None
    unit: str = ""
    """Of the two numbers: GPUs, MiB, vCPUs, bytes or external addresses."""
    subject: str = ""
    """What is short, missing or different: the GPU's short name, the network, the pool, the label."""

    @property
    def missing(self) -> int:
        """How much is lacking, in `unit`; 0 where nothing is counted."""
        return max(0, (self.needed or 0) - (self.available or 0))

    def as_dict(self) -> dict[str, Any]:
        """The refusal as data for `-o json`."""
        numbers = {"needed": self.needed, "available": self.available} if self.unit else {}
        return {"reason": self.reason.value, "message": self.message, "lacks": self.lacks, "unit": self.unit, **numbers}


def lack_of(name: str, refusals: tuple[Refusal, ...]) -> tuple[int, int, tuple[int, ...], str]:
    """How much the host of that name lacks, to compare: its worst refusal first, then how many, then the amounts."""
    missing: Counter[str] = Counter()
    for refusal in refusals:
        missing[refusal.unit] += refusal.missing
    worst = max(distance(refusal.reason) for refusal in refusals)
    return (worst, len(refusals), tuple(missing[unit] for unit in ("GPUs", "MiB", "vCPUs", "bytes")), name)


def count_in_words(reason: Reason, *, hosts: int, subjects: Iterable[str]) -> str:
    """`3 with too few L40S free`: how many hosts gave this reason first, for a sentence about many hosts."""
    phrase = _PHRASES[reason]
    what = " and ".join(sorted({subject for subject in subjects if subject}))
    return f"{hosts} " + " ".join(phrase.format(what=what).split())


_PHRASES = {
    Reason.PINNED_ELSEWHERE: "without the VM's disk",
    Reason.NOT_FOR_TENANT: "not for this tenant",
    Reason.BEING_REMOVED: "being removed",
    Reason.UNREACHABLE: "unreachable",
    Reason.CORDONED: "cordoned",
    Reason.LABELS_DIFFER: "without label {what}",
    Reason.WRONG_GPU_MODEL: "without {what}",
    Reason.NOT_PERMITTED: "that do not permit {what}",
    Reason.NO_VFIO: "without VFIO",
    Reason.KVM_BROKEN: "where KVM does not work",
    Reason.KVM_UNPROVEN: "where KVM is not proven yet",
    Reason.FIRMWARE_MISSING: "without {what} firmware",
    Reason.BARS_TOO_LARGE: "without room for the GPUs' BARs",
    Reason.NETWORK_MISSING: "without network {what}",
    Reason.POOL_MISSING: "without storage pool {what}",
    Reason.DISK_UNAVAILABLE: "without a disk for the VM",
    Reason.GROUP_SHARED: "with {what} in a shared IOMMU group",
    Reason.GPUS_RETIRED: "with retired {what}",
    Reason.GPUS_QUARANTINED: "with {what} in quarantine",
    Reason.GPUS_UNHEALTHY: "with unhealthy {what}",
    Reason.GPUS_BEING_CLEANED: "with {what} being cleaned",
    Reason.INSUFFICIENT_GPUS: "with too few {what} free",
    Reason.INSUFFICIENT_MEMORY: "short of memory",
    Reason.INSUFFICIENT_CPUS: "short of vCPUs",
    Reason.INSUFFICIENT_STORAGE: "short of storage",
    Reason.INSUFFICIENT_EXTERNAL_ADDRESSES: "without a free external address",
}


def memory_in_words(memory_mib: int) -> str:
    """`24 GiB`, `1.5 GiB`, `512 MiB`: exact enough for a sentence, rounded to a tenth of a GiB."""
    if memory_mib < 1024:
        return f"{memory_mib} MiB"
    return f"{memory_mib / 1024:.1f}".removesuffix(".0") + " GiB"


def counted(number: int, noun: str) -> str:
    """`1 host`, `2 hosts`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def joined(phrases: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *front, last = list(phrases) or [""]
    return f"{', '.join(front)} and {last}" if front else last
