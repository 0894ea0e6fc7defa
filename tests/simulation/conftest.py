"""What the tests of the simulation have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Where every host has been looked at and nobody has a VM yet."""
    return Stage(tmp_path)
