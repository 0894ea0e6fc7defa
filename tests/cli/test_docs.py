"""The documents say what the code does: every command, error, exit code, and field of JSON that is the command line's own."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cli.reference import reference
from provisioner.model import errors
from tests.cli.conftest import ROOT, Hikube
from tests.cli.test_stories import TRAIN, fleet

DOCS = ROOT / "docs"
AGAIN = {errors.Retry.NEVER: "never", errors.Retry.LATER: "later", errors.Retry.AFTER_CHANGE: "after a change"}

__all__ = ["fleet"]


def all_errors() -> list[type[errors.HikubeError]]:
    found = [errors.HikubeError]
    for each in found:
        found += [below for below in each.__subclasses__() if below.__module__ == errors.__name__ and below not in found]
    return found


def test_the_reference_of_commands_is_up_to_date() -> None:
    written = (DOCS / "reference" / "cli.md").read_text()
    assert written == reference(), "regenerate it: python -m cli.reference > docs/reference/cli.md"


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.__name__)
def test_every_error_is_documented(error: type[errors.HikubeError]) -> None:
    page = (DOCS / "errors.md").read_text()
    anchor = error.code.lower()
    row = f"| [{error.code}](#{anchor}) | `{error.__name__}` | {error.exit_code} | {AGAIN[error.retry]} |"
    assert row in page
    section = re.search(rf"^## {error.code}\n\n(.+?)(?=\n## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section is not None
    assert len(section[1].split()) > 8, "say what it means and what to do"


def test_no_error_is_documented_that_does_not_exist() -> None:
    page = (DOCS / "errors.md").read_text()
    assert set(re.findall(r"^## (HK-\S+)$", page, re.MULTILINE)) == {error.code for error in all_errors()}


def test_codes_are_unique() -> None:
    codes = [error.code for error in all_errors()]
    assert len(codes) == len(set(codes))


def test_every_exit_code_is_documented() -> None:
    page = (DOCS / "reference" / "exit-codes.md").read_text()
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert documented == {error.exit_code for error in all_errors()} | {0, 3, 130}


@pytest.mark.parametrize(
    ("command", "own"),
    [
        (["host", "show", "sim"], ("free", "gpuStates")),
        (["host", "doctor"], ("items",)),
        (["host", "doctor", "sim"], ("findings", "checked", "notKnown")),
        (["gpu", "offers"], ("items",)),
        (["gpu", "list"], ("items",)),
        (["events"], ("items",)),
        (["gpu", "vm", "create", "b", *TRAIN[4:], "--dry-run"], ("items",)),
        (["explain", "vm", "train"], ("placed", "outcome", "hosts", "pending")),
        (["explain", "vm", "train", "--hardware"], ("hardware",)),
    ],
    ids=lambda value: " ".join(value[:3]),
)
def test_every_field_of_our_own_json_is_documented(fleet: Hikube, command: list[str], own: tuple[str, ...]) -> None:
    assert fleet(*TRAIN).code == 0
    result = fleet(*command, "-o", "json")
    data = json.loads(result.out)
    page = (DOCS / "reference" / "json.md").read_text()
    words = set(re.findall(r"[A-Za-z_]+", " ".join(re.findall(r"`([^`\n]+)`", page))))
    first_level = {key for name in own for key in _first_level(data[name])}
    assert first_level <= words


def _first_level(value: Any) -> set[str]:
    parts = value if isinstance(value, list) else [value]
    return {key for part in parts if isinstance(part, dict) for key in part if not key.startswith("nvidia.com/")}
