"""What README shows is what is printed: its commands run, in order, in the sandbox, and every line that it shows comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console_blocks import at_home_in, check, shown_on
from tests.documents import ROOT, Page


def test_what_the_readme_shows_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_home_in(tmp_path, monkeypatch)
    shown = shown_on(Page(ROOT / "README.md"))
    assert len(shown) > 3
    for each in shown:
        check(each)
