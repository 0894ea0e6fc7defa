"""What the guest's memory is made of and where it comes from.

A passed device may write to any of it at any time, so all of it is there, and pinned, from the start. Huge pages make that
quicker and need fewer entries in the IOMMU; they are used where the host has set enough of them aside, never demanded.

    huge pages: strict      a pool is either large enough or the start fails at once, with words; nothing is ever killed for it
    ordinary:   preferred   a guest that is bound to a node dies when the node is full, one that is not is a little slower
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provisioner.model.gpu_host import FreeHugepages, GPUHost
from provisioner.planning.hardware.choices import Choice
from provisioner.planning.plans import NumaCell
from provisioner.planning.refusals import joined, memory_in_words

_SIZES_KIB = (2**20, 2**11)
"""Largest first."""
_WORDS = {2**20: "1 GiB", 2**11: "2 MiB"}


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The guest's memory."""

    hugepage_kib: int | None
    mode: str
    choices: tuple[Choice, ...]


def memory_of(memory_mib: int, *, cells: Sequence[NumaCell], host: GPUHost, has_gpus: bool) -> MemoryPlan:
    """Pages and policy of a guest with that much memory in these cells."""
    if not has_gpus:
        return MemoryPlan(None, "preferred", ())
    page = _page_size(memory_mib, cells=cells, pools=host.status.hugepages)
    mode = "strict" if page and cells else "preferred"
    return MemoryPlan(page, mode, (_pages(memory_mib, page=page, host=host), *_origin(cells, mode), _locked(memory_mib)))


def _page_size(memory_mib: int, *, cells: Sequence[NumaCell], pools: Sequence[FreeHugepages]) -> int | None:
    for size_kib in _SIZES_KIB:
        free_mib = {pool.node: pool.free * size_kib // 1024 for pool in pools if pool.size_kib == size_kib}
        parts = [cell.memory_mib for cell in cells] or [memory_mib]
        if all(part * 1024 % size_kib == 0 for part in parts) and _has_room(memory_mib, cells=cells, free_mib=free_mib):
            return size_kib
    return None


def _has_room(memory_mib: int, *, cells: Sequence[NumaCell], free_mib: Mapping[int, int]) -> bool:
    if not cells:
        return sum(free_mib.values()) >= memory_mib
    return all(free_mib.get(cell.host_node, 0) >= cell.memory_mib for cell in cells)


def _pages(memory_mib: int, *, page: int | None, host: GPUHost) -> Choice:
    if page:
        return Choice("memory pages", _WORDS[page], f"the host keeps enough free ones for {memory_in_words(memory_mib)}")
    pools = [pool for pool in host.status.hugepages if pool.total]
    if not pools:
        return Choice("memory pages", "ordinary", "the host keeps no huge pages" if host.status.examined else _UNKNOWN)
    free = joined(f"{pool.free} of {_size(pool.size_kib)} on node {pool.node}" for pool in pools)
    return Choice("memory pages", "ordinary", f"too few huge pages are free for {memory_in_words(memory_mib)}: {free}")


_UNKNOWN = "nobody has looked for huge pages on the host"


def _size(size_kib: int) -> str:
    return _WORDS.get(size_kib, f"{size_kib} KiB")


def _origin(cells: Sequence[NumaCell], mode: str) -> tuple[Choice, ...]:
    if not cells:
        return ()
    nodes = joined(f"node {cell.host_node}" for cell in cells)
    if mode == "strict":
        why = "beside the GPUs; huge pages are there or the start fails at once, so nothing else is allowed"
        return (Choice("memory", f"only from {nodes}", why),)
    why = "beside the GPUs; not bound to it, since a bound guest dies where an unbound one is a little slower"
    return (Choice("memory", f"preferably from {nodes}", why),)


def _locked(memory_mib: int) -> Choice:
    why = f"libvirt allows QEMU {memory_in_words(memory_mib)} and 1 GiB for mappings by itself, without a virtual IOMMU"
    return Choice("locked memory", "all, no limit set", why)
