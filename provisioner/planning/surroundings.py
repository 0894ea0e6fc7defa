"""Whether a libvirt host has what a VM needs beside its hardware: networks, an external address, room in its storage pools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from provisioner.planning.addresses import count_external
from provisioner.planning.fleet import HostView
from provisioner.planning.networks import attachments, missing_networks, outward
from provisioner.planning.policy import PlacementPolicy
from provisioner.planning.refusals import Reason, Refusal, memory_in_words
from provisioner.planning.requests import PlacementRequest


def surroundings(request: PlacementRequest, host: HostView, policy: PlacementPolicy) -> Iterator[Refusal]:
    """Networks and storage."""
    for name, so in missing_networks(request.networks, host.host):
        yield Refusal(Reason.NETWORK_MISSING, so, lacks=f"network {name}", subject=name)
    yield from _external_address(request, host)
    for name, needed_bytes in _storage(request, host).items():
        yield from _pool(name, needed_bytes, host, policy)


def _external_address(request: PlacementRequest, host: HostView) -> Iterator[Refusal]:
    """Whether one is left, where the host has any for its NAT networks; one that has none takes the VM and says so on it."""
    spec = host.host.spec
    found = outward(attachments(request.networks, host.host), host.host, whole=request.external == "WholeIP")
    if not request.external or host.external_address or found is None or found[1].way != "nat":
        return
    yield Refusal(
        Reason.INSUFFICIENT_EXTERNAL_ADDRESSES,
        f"0 of {count_external(spec.external_addresses)} external addresses free",
        lacks="a free external address",
        needed=1,
        available=0,
        unit="external addresses",
    )


def _storage(request: PlacementRequest, host: HostView) -> dict[str, int]:
    """Bytes needed in each pool: the host's own, which has the seed, and those of the storage classes."""
    own = request.storage_pool or host.host.spec.storage_pool
    needed = Counter({own: request.storage_bytes - sum(request.storage_by_class.values())})
    for storage_class, size_bytes in request.storage_by_class.items():
        needed[request.storage_pool or host.host.spec.pool_of(storage_class)] += size_bytes
    return dict(needed)


def _pool(name: str, needed_bytes: int, host: HostView, policy: PlacementPolicy) -> Iterator[Refusal]:
    pool = next((pool for pool in host.host.status.storage_pools if pool.name == name), None)
    if pool is None or not pool.active:
        so = "does not exist" if pool is None else "is not active"
        yield Refusal(Reason.POOL_MISSING, f"storage pool {name} {so}", lacks=f"storage pool {name}", subject=name)
        return
    available = int(pool.available_bytes * policy.storage_overcommit)
    if needed_bytes > available:
        needed, there = (memory_in_words(size // 2**20) for size in (needed_bytes, available))
        missing = memory_in_words(-(-(needed_bytes - available) // 2**20))
        yield Refusal(
            Reason.INSUFFICIENT_STORAGE,
            f"{there} of storage free in pool {name}, {needed} needed",
            lacks=f"{missing} of storage",
            needed=needed_bytes,
            available=available,
            unit="bytes",
            subject=name,
        )
