"""House rules that no linter has: length of files and functions (a ratchet), forbidden file names, patches, loose ends.

Lengths above the hard limit may only shrink: an entry in RATCHET names the length at which it was tolerated.
"""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 45
RATCHET: dict[str, int] = {}
"""`path` or `path::function` -> lines. Entries go when the thing is split; new ones need a reason in review."""
FORBIDDEN_NAMES = {"utils.py", "helpers.py", "common.py", "misc.py"}
LOOSE_ENDS = re.compile(r"#.*\b(TODO|FIXME|XXX)\b|raise NotImplementedError")


def _sources() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def _functions(path: Path) -> list[tuple[str, int]]:
    tree = ast.parse(path.read_text())
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(node.name, (node.end_lineno or 0) - node.lineno + 1) for node in nodes]


def test_files_and_functions_are_short() -> None:
    too_long = []
    for path in _sources():
        name = str(path.relative_to(ROOT))
        lines = len(path.read_text().splitlines())
        if lines > RATCHET.get(name, FILE_LINES_MAX):
            too_long.append(f"{name}: {lines} lines")
        for function, length in _functions(path):
            if length > RATCHET.get(f"{name}::{function}", FUNCTION_LINES_MAX):
                too_long.append(f"{name}::{function}: {length} lines")
    assert not too_long, "\n".join(too_long)


def test_the_ratchet_holds_nothing_that_was_split() -> None:
    lengths = {}
    for path in _sources():
        name = str(path.relative_to(ROOT))
        lengths[name] = len(path.read_text().splitlines())
        lengths |= {f"{name}::{function}": length for function, length in _functions(path)}
    slack = [entry for entry, tolerated in RATCHET.items() if lengths.get(entry, 0) < tolerated]
    assert not slack, f"these may be tightened: {slack}"


def test_no_drawer_for_odds_and_ends() -> None:
    assert not [path for path in _sources() if path.name in FORBIDDEN_NAMES]


@pytest.mark.parametrize("room", ["provisioner", "templates", "server", "cli"])
def test_every_module_says_why_it_exists(room: str) -> None:
    modules = [path for path in _sources() if path.is_relative_to(ROOT / room)]
    silent = [path for path in modules if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent


def test_no_loose_ends() -> None:
    ends = [str(path) for path in _sources() if path != Path(__file__) and LOOSE_ENDS.search(path.read_text())]
    assert not ends


def test_tests_hand_in_twins_instead_of_patching() -> None:
    patching = re.compile(r"\b(monkeypatch\.setattr|mock\.patch|MagicMock)\b")
    found = [str(path) for path in _sources() if path != Path(__file__) and patching.search(path.read_text())]
    assert not found
