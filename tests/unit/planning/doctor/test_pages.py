"""The table of checks and docs/findings agree, in both directions."""

from __future__ import annotations

import re

import pytest

from provisioner.planning.doctor.table import CHECKS, page_of
from tests.documents import ROOT

FINDINGS = ROOT / "docs" / "findings"
HEADINGS = ["What it means", "How it is found", "What to do"]


@pytest.mark.parametrize("code", sorted(CHECKS))
def test_every_code_has_a_page_with_what_a_reader_needs(code: str) -> None:
    text = (ROOT / page_of(code)).read_text()
    check = CHECKS[code]
    assert text.startswith(f"# {code}: {check.title}\n\nSeverity: {check.severity}.\n")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[:3] == HEADINGS
    assert headings[3:] in ([], ["Read more"])
    for heading in HEADINGS:
        section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        assert len(section.split()) > 3, f"{heading} of {code} says nothing"


def test_no_page_is_about_a_code_that_does_not_exist() -> None:
    assert {path.stem for path in FINDINGS.glob("HK-*.md")} == set(CHECKS)


def test_the_index_has_every_code_with_the_tables_words() -> None:
    index = (FINDINGS / "README.md").read_text()
    rows = {f"| [{code}]({code}.md) | {check.title} | {check.severity} | {check.meaning} |" for code, check in CHECKS.items()}
    assert {line for line in index.splitlines() if line.startswith("| [")} == rows


def test_codes_tell_what_they_are_about_and_words_are_sentences() -> None:
    for code, check in CHECKS.items():
        assert re.fullmatch(r"HK-DOC-[123]\d\d", code)
        assert check.meaning.endswith(".") and check.advice.endswith((".", "virsh."))
        assert not check.title.endswith(".")
