"""The newcomer's five minutes: every command of the page, in its order, prints what the page shows; and nothing is left."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.console_blocks import at_home_in, check, shown_on
from tests.documents import ROOT, Page

TUTORIAL = Page(ROOT / "docs/tutorial/sandbox.md")
COMMAND_CPU_S_MAX = 3.0
"""Processor time, since other work on the machine stretches the clock; by the clock each takes one to three seconds."""


def spent_s() -> float:
    """Processor time of all children so far."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


@pytest.mark.timeout(300)
def test_every_command_of_the_page_prints_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home_in(tmp_path, monkeypatch)
    shown = shown_on(TUTORIAL)
    assert len(shown) > 12
    for each in shown:
        before_s = spent_s()
        check(each)
        assert spent_s() - before_s < COMMAND_CPU_S_MAX, f"$ {each.command}\ntook {spent_s() - before_s:.1f} s"
    data = tmp_path / "hikube_data_dir"
    assert not (data / "sandbox").exists()
    left = sorted(path.name for path in data.iterdir())
    assert left == [
        "hikube.db",
        "hikube.db-shm",
        "hikube.db-wal",
        "hikube.db.controller",
        "hikube.db.controller.who",
        "hikube.db.key",
        "keys",
        "logs",
    ]
