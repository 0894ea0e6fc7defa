"""A few seeds of the soak at every change; `python -m tests.lifecycle.soak --seeds 1000` for a night."""

from __future__ import annotations

import logging

import pytest

from tests.lifecycle.soak import soak

SEEDS = 20
EVENTS = 16


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_fleet_survives_a_storm(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    soak(seed, events=EVENTS)
