"""Checks of a host's memory: a guest with a GPU has all of its memory pinned from its first moment on.

All amounts in MiB. QEMU must lock the guest's memory and 1 GiB more: libvirt's own rule (qemuDomainGetMemLockLimitBytes).
"""

from __future__ import annotations

from provisioner.planning.doctor.checks import Answer, Found, HostCase, Severity, Unknown
from provisioner.planning.refusals import memory_in_words

LOCK_OVERHEAD_MIB = 1024
SMALLEST_GUEST_MIB = 1024
"""Below this no guest with a GPU is of use."""


def locked_memory(case: HostCase) -> Answer:
    """Whether QEMU may lock as much memory as the largest guest has."""
    limit_mib = case.examination.memlock_limit_mib
    if limit_mib is None:
        return None
    if case.guest_mib is not None:
        needed_mib = case.guest_mib + LOCK_OVERHEAD_MIB
        return Found(_too_little(limit_mib, needed_mib, "this guest")) if limit_mib < needed_mib else None
    if limit_mib < SMALLEST_GUEST_MIB + LOCK_OVERHEAD_MIB:
        return Found(_too_little(limit_mib, SMALLEST_GUEST_MIB + LOCK_OVERHEAD_MIB, "the smallest guest"))
    most_mib = _for_guests(case)
    if limit_mib < most_mib:
        return Found(_too_little(limit_mib, most_mib, "a guest as large as the host"), severity=Severity.WARNING)
    return None


def _too_little(limit_mib: int, needed_mib: int, whom: str) -> str:
    return f"QEMU may lock {memory_in_words(limit_mib)}; {whom} needs {memory_in_words(needed_mib)}"


def pinnable_memory(case: HostCase) -> Answer:
    """Whether the memory that placement counts on is really there."""
    available_mib = case.examination.memory_available_mib
    if available_mib is None:
        return Unknown("/proc/meminfo could not be read there")
    if case.guest_mib is not None:
        there_mib = available_mib + _hugepages_mib(case, free=True)
        if case.guest_mib <= there_mib:
            return None
        needed, there = memory_in_words(case.guest_mib), memory_in_words(there_mib)
        return Found(f"{needed} of memory are to be pinned, and {there} are there", severity=Severity.ERROR)
    kept_mib = case.host.spec.reserved_memory_mib
    own_mib = case.host.status.memory_mib - available_mib - case.committed_mib - _hugepages_mib(case, free=False)
    if not case.host.status.memory_mib or own_mib <= kept_mib:
        return None
    return Found(
        f"the host itself uses {memory_in_words(own_mib)}, and reservedMemoryMib keeps {memory_in_words(kept_mib)} for it:"
        f" guests are promised {memory_in_words(own_mib - kept_mib)} that are not there"
    )


def hugepages(case: HostCase) -> Answer:
    """Whether huge pages are where the GPUs are, if there are any."""
    pools = [each for each in case.examination.hugepages if each.total]
    if not pools:
        return Found("no huge pages are kept: large guests take longer to start", severity=Severity.INFO)
    with_pages = {each.node for each in pools}
    of_gpus = {gpu.numa_node for gpu in case.host.status.gpus if gpu.numa_node is not None}
    without = sorted(of_gpus - with_pages)
    if not without:
        return None
    nodes = ", ".join(str(node) for node in without)
    return Found(f"NUMA node {nodes} has GPUs and no huge pages; node {', '.join(map(str, sorted(with_pages)))} has")


def _for_guests(case: HostCase) -> int:
    return max(0, case.host.status.memory_mib - case.host.spec.reserved_memory_mib)


def _hugepages_mib(case: HostCase, *, free: bool) -> int:
    pages = case.examination.hugepages
    if free:
        return sum(pool.free * pool.size_kib for pool in pages) // 1024
    taken_by_guests = sum((pool.total - pool.free) * pool.size_kib for pool in pages) // 1024
    every = sum(pool.total * pool.size_kib for pool in pages) // 1024
    return max(0, every - min(taken_by_guests, case.committed_mib))
