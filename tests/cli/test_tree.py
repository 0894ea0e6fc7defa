"""The table of commands: every entry leads to a command, every command says what it does, and completion knows them all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cli.lazy import Branch, LazyGroup, Leaf
from cli.tree import ROOT as TREE
from tests.cli.conftest import ROOT, Hikube


def leaves(branch: Branch, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Leaf]]:
    for name, entry in branch.entries.items():
        if isinstance(entry, Branch):
            yield from leaves(entry, (*path, name))
        else:
            yield (*path, name), entry


LEAVES = dict(leaves(TREE))


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_has_help(hikube: Hikube, path: tuple[str, ...]) -> None:
    result = hikube(*path, "--help")
    assert result.code == 0, result.err
    assert result.out.startswith(f"Usage: hikube {' '.join(path)}")
    assert result.err == ""


@pytest.mark.parametrize(
    "path", [(), ("gpu",), ("gpu", "vm"), ("host",), ("image",), ("store",)], ids=lambda path: " ".join(path) or "hikube"
)
def test_a_group_without_a_command_shows_its_help(hikube: Hikube, path: tuple[str, ...]) -> None:
    result = hikube(*path)
    assert result.code == 0
    assert result.out == hikube(*path, "--help").out


def test_a_misspelt_command_is_guessed(hikube: Hikube) -> None:
    result = hikube("gpu", "vm", "lits")
    assert result.code == 2
    assert "Did you mean 'list'?" in result.err


def test_commands_are_completed_without_importing_them() -> None:
    group = LazyGroup("hikube", TREE)
    context = group.make_context("hikube", [], resilient_parsing=True)
    assert [item.value for item in group.shell_complete(context, "de")] == ["describe", "delete"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(hikube: Hikube, shell: str) -> None:
    result = hikube("completion", shell)
    assert result.code == 0
    assert "_HIKUBE_COMPLETE" in result.out


BASH_ASKS = """
source <(hikube completion bash)
COMP_LINE="$LINE" COMP_POINT=${#LINE} COMP_WORDS=(hikube gpu show rack/0000 : 4) COMP_CWORD=5
_hikube_whole_words hikube
printf '%s\\n' "${COMPREPLY[@]}"
"""


def test_bash_completes_addresses_although_they_have_colons(hikube: Hikube) -> None:
    assert hikube("host", "add", "rack", f"simulated://h100?state={hikube.home}/rack.json").code == 0
    command = hikube.home / "hikube"
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from cli.main import main; main()' \"$@\"\n")
    command.chmod(0o755)
    words = {"LINE": "hikube gpu show rack/0000:4", "PATH": f"{hikube.home}{os.pathsep}{os.environ['PATH']}"}
    asked = ["bash", "--norc", "-c", BASH_ASKS]
    done = subprocess.run(asked, env={**os.environ, **words}, capture_output=True, text=True, timeout=60, cwd=ROOT, check=True)
    assert done.stdout.split() == [f"4{number}:00.0" for number in range(1, 9)], done.stderr


def completed(hikube: Hikube, monkeypatch: pytest.MonkeyPatch, words: str) -> list[str]:
    """What bash would be told for this line, the last word being incomplete."""
    monkeypatch.setenv("_HIKUBE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    result = hikube.process()
    assert result.err == ""
    return result.out.split()


def test_names_models_and_kinds_are_completed(hikube: Hikube, monkeypatch: pytest.MonkeyPatch) -> None:
    hikube("host", "add", "rack-1", "qemu+ssh://root@example.org/system", "--no-probe")
    hikube("image", "add", "mine", "file:///tmp/mine.qcow2")
    assert completed(hikube, monkeypatch, "hikube gpu v") == ["vm"]
    assert completed(hikube, monkeypatch, "hikube host show r") == ["rack-1"]
    assert completed(hikube, monkeypatch, "hikube get gpuho") == ["gpuhosts"]
    assert "l40s" in completed(hikube, monkeypatch, "hikube gpu vm create a --gpu l4")
    assert "mine" in completed(hikube, monkeypatch, "hikube image fetch m")


def test_completion_without_a_store_is_silent_and_makes_none(hikube: Hikube, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed(hikube, monkeypatch, "hikube gpu vm show ") == []
    assert not (hikube.home / "data").exists()


def test_completion_over_a_damaged_store_is_silent(hikube: Hikube, monkeypatch: pytest.MonkeyPatch) -> None:
    (hikube.home / "data").mkdir()
    (hikube.home / "data" / "hikube.db").write_text("this is no database, and long enough to be taken for one" * 100)
    assert completed(hikube, monkeypatch, "hikube gpu vm show ") == []


FORMATS = re.compile(r"FORMAT +((?:table|wide|json|yaml|name)(?:, \w+)* or \w+)")
REQUIRED = {
    "apply": "-f some.yaml",
    "get": "vm",
    "explain": "vm a",
    "gpu vm show": "a",
    "gpu show": "a",
    "gpu history": "a",
    "gpu quarantine": "a --reason b",
    "gpu release": "a",
    "gpu retire": "a",
    "host add": "a simulated://l40s",
    "host adopt": "a",
    "host show": "a",
    "disk create": "a",
    "disk show": "a",
    "disk upload": "a some.qcow2",
    "disk clone": "a b",
    "disk grow": "a 1Gi",
}
"""What these commands cannot be without."""


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_names_the_output_formats_that_are_taken(hikube: Hikube, path: tuple[str, ...]) -> None:
    promised = FORMATS.search(hikube(*path, "--help").out)
    if promised is None:
        return
    words = re.split(", | or ", promised[1])
    refused = hikube(*path, *REQUIRED.get(" ".join(path), "").split(), "-o", "nonsense")
    assert (refused.code, refused.out) == (2, "")
    assert f"  allowed: {', '.join(words)}\n" in refused.err
