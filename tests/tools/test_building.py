"""Who supplies a program, and that nobody builds what is there. The building itself takes minutes: `make tools` is its test."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from tests.tools import binaries
from tests.tools.build import build


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing else on offer."""
    monkeypatch.setenv("HIKUBE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path / "cache"


def test_an_empty_cache_lacks_everything(cache: Path) -> None:
    assert binaries.absent() == list(binaries.PACKAGES)
    assert binaries.home().is_relative_to(cache)


def test_programs_of_ones_own_come_first(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _put(binaries.home() / "bin", "etcd", "kubectl", "helm")
    _put(tmp_path / "own", "etcd", "helm")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "own"))
    assert binaries.find("etcd") == tmp_path / "own" / "etcd"
    assert binaries.find("kubectl") == binaries.home() / "bin" / "kubectl", "what is lacking there is ours"
    assert binaries.find("helm") == binaries.home() / "bin" / "helm", "helm is none of those that the folder is for"


def test_what_is_there_is_not_built_again(cache: Path) -> None:
    _put(binaries.home() / "bin", *binaries.PACKAGES)
    said: list[str] = []
    assert build(said.append) == []
    assert said == []


def test_who_waits_for_another_builder_finds_all_there(cache: Path) -> None:
    binaries.home().mkdir(parents=True)
    with (binaries.home() / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        def the_other_ends(line: str) -> None:
            assert "another build" in line
            _put(binaries.home() / "bin", *binaries.PACKAGES)
            fcntl.flock(other, fcntl.LOCK_UN)

        assert build(the_other_ends) == []


def test_the_version_is_told_to_the_linker() -> None:
    assert f"gitVersion=v{binaries.kubernetes_version()}" in binaries.linker_flags()


def _put(folder: Path, *programs: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for program in programs:
        (folder / program).touch(mode=0o755)
