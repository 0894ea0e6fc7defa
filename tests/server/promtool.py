"""promtool as tests call it; skipped by name where it cannot be had."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.tools import promtool

LIMIT_S = 60.0


def check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    program = promtool.find()
    if program is None:
        pytest.skip("promtool is not there: scripts/promtool fetches it")
    argv = [str(program), *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False)
