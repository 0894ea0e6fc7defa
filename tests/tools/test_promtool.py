"""Who supplies promtool, and what is said where it cannot be had. Fetching it is what scripts/promtool does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools import promtool


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a PATH with nothing on it but what the test puts there."""
    monkeypatch.setenv("HIKUBE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    return tmp_path / "programs"


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_one_of_ones_own_comes_first_then_the_cache(programs: Path) -> None:
    assert promtool.find() is None
    put(promtool.home())
    assert promtool.find() == promtool.home()
    own = put(programs / "promtool")
    assert promtool.find() == own


def test_what_is_there_is_not_fetched_again(programs: Path) -> None:
    put(promtool.home())
    said: list[str] = []
    assert promtool.fetch(said.append) == promtool.home()
    assert said == []


def test_a_machine_without_apt_is_told_so(programs: Path) -> None:
    with pytest.raises(promtool.FetchFailed, match="there is no apt-cache here"):
        promtool.fetch(lambda _: None)


def test_another_version_is_not_taken_for_the_pinned_one(programs: Path) -> None:
    put(programs / "apt-cache", "echo ' prometheus | 3.5.0-1 | http://deb.example trixie/main'")
    with pytest.raises(promtool.FetchFailed, match=r"2\.42\.0 is wanted, of Debian 12; apt offers 3\.5\.0-1"):
        promtool.fetch(lambda _: None)


def test_a_package_that_cannot_be_fetched_leaves_nothing_behind(programs: Path) -> None:
    put(programs / "apt-cache", "echo ' prometheus | 2.42.0+ds-5 | http://deb.example bookworm/main'")
    put(programs / "apt-get", "echo 'no network' >&2; exit 100")
    with pytest.raises(promtool.FetchFailed, match="no network"):
        promtool.fetch(lambda _: None)
    assert promtool.find() is None
    assert list(promtool.home().parent.iterdir()) == []
