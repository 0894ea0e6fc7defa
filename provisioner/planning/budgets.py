"""How long each long step of a VM's life may take, from its size: a deadline that a healthy VM never meets, however large.

Each budget is a multiple of what the step was seen to take, so that it is wrong only when something is. Fixed timeouts are
what kills large GPU VMs: pinning memory and mapping BARs grow with both.

    start   = 60 s + SAFETY x (memory x pin rate + BARs x 30 s per 128 GB)     pin rate 0.3 s per GiB, 6 s under emulation
    reach   = 240 s + SAFETY x BARs x 30 s per 128 GB                          old kernels take as long again in the guest

Without GPUs nothing is pinned and no BAR is mapped. `scale` multiplies everything: 1.0 is an ordinary host.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.model.sizing import GuestSize
from provisioner.planning.plans import Budgets

SAFETY = 4.0
PIN_S_PER_GIB = 0.3
PIN_EMULATED_S_PER_GIB = 6.0
"""Measured through a virtual IOMMU under emulation."""
BAR_S_PER_128_GB = 30.0
"""Of a host kernel without huge page mappings of BARs."""
EMULATION_FACTOR = 5.0
"""How much longer a guest boots under emulation."""


def budgets(
    size: GuestSize, *, gpu_count: int, bar_bytes: Sequence[int], scale: float = 1.0, is_emulated: bool = False
) -> Budgets:
    """Budgets in seconds for a VM of this size. `bar_bytes` may be empty where sizes are not known."""
    slowness = EMULATION_FACTOR if is_emulated else 1.0
    pin_s = _pin_s(size, gpu_count=gpu_count, is_emulated=is_emulated)
    bars_s = sum(bar_bytes) / (128 * 10**9) * BAR_S_PER_128_GB if gpu_count else 0.0
    return Budgets(
        image_s=3600.0 * scale,
        bind_s=(60.0 + 30.0 * gpu_count) * scale,
        start_s=(60.0 * slowness + SAFETY * (pin_s + bars_s)) * scale,
        address_s=(180.0 * slowness + SAFETY * bars_s) * scale,
        reach_s=(240.0 * slowness + SAFETY * bars_s) * scale,
        verify_s=1800.0 * scale,
        shutdown_s=90.0 * (2.0 if is_emulated else 1.0) * scale,
    )


def _pin_s(size: GuestSize, *, gpu_count: int, is_emulated: bool) -> float:
    if not gpu_count:
        return 0.0
    return size.memory_mib / 1024 * (PIN_EMULATED_S_PER_GIB if is_emulated else PIN_S_PER_GIB)
