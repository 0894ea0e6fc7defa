"""Which changes of hosts are worth a pass over the VMs that wait for capacity.

Hosts are surveyed often, and most surveys show what was known: another time of day, functions on another driver, a pool that is
a little fuller. Waking every VM that waits for each of them would cost more than it finds. A VM that is not woken still looks
again on its own period.
"""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.model.gpu_host import GpuFacts, GPUHost
from provisioner.model.metadata import Key
from provisioner.store.protocol import ChangeType


@dataclass(frozen=True, slots=True)
class _Offer:
    """What placement reads of a host."""

    facts: tuple[object, ...]
    gpus: tuple[GpuFacts, ...]
    available_bytes: dict[str, int]
    """Of each pool."""

    @classmethod
    def of(cls, host: GPUHost) -> _Offer:
        status = host.status
        facts = (
            host.metadata.generation,
            host.metadata.labels,
            host.is_being_deleted,
            status.reachable,
            bool(status.last_seen),
            status.kvm.works,
            status.cpus,
            status.memory_mib,
            status.numa_nodes,
            status.capabilities,
            status.networks,
            status.quarantined,
            status.cluster,
        )
        return cls(facts, status.gpus, {pool.name: pool.available_bytes for pool in status.storage_pools if pool.active})

    def may_help_beyond(self, before: _Offer) -> bool:
        """Whether somebody who found no place before may find one now."""
        grown = any(size > before.available_bytes.get(name, -1) for name, size in self.available_bytes.items())
        return grown or self.facts != before.facts or not _are_alike(self.gpus, before.gpus)


class Offers:
    """What each host offered when it last changed."""

    def __init__(self) -> None:
        self._known: dict[Key, _Offer] = {}

    def may_help(self, change: ChangeType, host: GPUHost) -> bool:
        """Take the change in, and say whether it may help a VM that waits, or changes why."""
        if change is ChangeType.DELETED:
            self._known.pop(host.key, None)
            return True  # it helps nobody, but the reason for waiting is another one now
        before, now = self._known.get(host.key), _Offer.of(host)
        self._known[host.key] = now
        return before is None or now.may_help_beyond(before)


def _are_alike(some: tuple[GpuFacts, ...], others: tuple[GpuFacts, ...]) -> bool:
    """Whether they differ at most in the drivers that functions are on."""
    return some == others or tuple(map(_without_drivers, some)) == tuple(map(_without_drivers, others))


def _without_drivers(gpu: GpuFacts) -> GpuFacts:
    companions = tuple(function.model_copy(update={"driver": ""}) for function in gpu.companions)
    return gpu.model_copy(update={"function": gpu.function.model_copy(update={"driver": ""}), "companions": companions})
