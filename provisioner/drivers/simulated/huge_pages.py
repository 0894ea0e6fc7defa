"""Huge pages of a simulated host: what it keeps, less what its running guests have."""

from __future__ import annotations

from provisioner.drivers.simulated.state import DomainConfig, HostState
from provisioner.model.examination import HugepagePool


def free_pages(state: HostState) -> tuple[HugepagePool, ...]:
    """Every pool as the host's kernel would count it now."""
    pools = state.inside.hugepages
    for _, live in state.running():
        pools = _without(pools, live) or pools
    return pools


def has_pages(state: HostState, config: DomainConfig) -> bool:
    """Whether the memory of that domain can be made of the huge pages that are free now."""
    return not config.hugepage_kib or _without(free_pages(state), config) is not None


def _without(pools: tuple[HugepagePool, ...], config: DomainConfig) -> tuple[HugepagePool, ...] | None:
    """The pools once that domain has its pages; None if they do not suffice."""
    if not config.hugepage_kib:
        return pools
    wanted = {node: -(-amount * 1024 // config.hugepage_kib) for node, amount in config.memory_of_node_mib.items()}
    anywhere = 0 if wanted else -(-config.memory_mib * 1024 // config.hugepage_kib)
    left = []
    for pool in pools:
        taken = 0
        if pool.size_kib == config.hugepage_kib:
            taken = min(pool.free, wanted.get(pool.node, 0) + anywhere)
            wanted[pool.node] = wanted.get(pool.node, 0) - min(taken, wanted.get(pool.node, 0))
            anywhere -= min(taken, anywhere)
        left.append(pool.model_copy(update={"free": pool.free - taken}))
    return None if anywhere or any(wanted.values()) else tuple(left)
