"""Fixtures of the lifecycle tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lifecycle.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty world."""
    return World(tmp_path)
