"""Budgets grow with what makes a step long, and with nothing else."""

from __future__ import annotations

from provisioner.model.sizing import GuestSize
from provisioner.planning.budgets import budgets

SMALL, LARGE = GuestSize(1, 2, 1024), GuestSize(2, 32, 1024 * 1024)


def test_starting_grows_with_pinned_memory_and_bars() -> None:
    plain = budgets(LARGE, gpu_count=0, bar_bytes=())
    pinned = budgets(LARGE, gpu_count=1, bar_bytes=())
    mapped = budgets(LARGE, gpu_count=8, bar_bytes=(128 * 10**9,) * 8)
    assert plain.start_s == 60
    assert pinned.start_s == 60 + 4 * 1024 * 0.3
    assert mapped.start_s == 60 + 4 * (1024 * 0.3 + 8 * 30)
    assert mapped.reach_s == 240 + 4 * 8 * 30


def test_emulation_takes_longer() -> None:
    real, emulated = (budgets(SMALL, gpu_count=1, bar_bytes=(), is_emulated=slow) for slow in (False, True))
    assert emulated.start_s == 300 + 4 * 6
    assert emulated.reach_s > real.reach_s
    assert emulated.shutdown_s > real.shutdown_s


def test_scale_stretches_every_budget() -> None:
    once, twice = (budgets(LARGE, gpu_count=1, bar_bytes=(2**36,), scale=scale) for scale in (1.0, 2.0))
    for name in once.__slots__:
        assert getattr(twice, name) == 2 * getattr(once, name)
