"""Whether a storage pool can take what is to be made in it: asked of the host before it begins, and answered with numbers.

Disks are thin, so what was promised and is not written yet counts for nothing here; placement says the same. A pool that is
missing, stopped or full is somebody's to mend, so whoever waits for it waits with patience.
"""

from __future__ import annotations

from provisioner.drivers.volumes import Volumes
from provisioner.lifecycle.verdicts import Retry
from provisioner.model.errors import NoCapacity, NotFound
from provisioner.planning.refusals import memory_in_words

WAIT_S = 30.0
MIB = 1 << 20
POOL_REASONS = frozenset({"PoolMissing", "PoolInactive", "InsufficientStorage"})
"""Reasons of waits for a pool."""


def pool_obstacle(volumes: Volumes, pool: str, *, needed_bytes: int, what: str) -> Retry | None:
    """Why `what` cannot be made in the pool now; None if it can. `needed_bytes` of 0 asks whether the pool is there at all.

    Raises: whatever the hypervisor says of a host that does not answer.
    """
    try:
        space = volumes.space(pool)
    except NotFound:
        return Retry(WAIT_S, "PoolMissing", f"the host has no storage pool `{pool}`", is_patient=True)
    if not space.is_active:
        return Retry(WAIT_S, "PoolInactive", f"storage pool `{pool}` is not active", is_patient=True)
    if needed_bytes > space.available_bytes:
        left = _in_words(space.available_bytes, of=space.capacity_bytes)
        message = f"{what} needs {memory_in_words(-(-needed_bytes // MIB))}, storage pool `{pool}` has {left} left"
        return Retry(WAIT_S, "InsufficientStorage", message, is_patient=True)
    return None


def require_room(volumes: Volumes, pool: str, *, needed_bytes: int, what: str) -> None:
    """Raise if the pool cannot take it.

    Raises:
        NoCapacity: with the numbers.
    """
    waiting = pool_obstacle(volumes, pool, needed_bytes=needed_bytes, what=what)
    if waiting is not None:
        raise NoCapacity(f"there is no room for {what}", why=waiting.message, hint="make room in the pool, or add to it")


def _in_words(available_bytes: int, *, of: int) -> str:
    return f"{memory_in_words(available_bytes // MIB)} of {memory_in_words(of // MIB)}"
