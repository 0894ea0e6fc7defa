"""Every file of tests/corpus: the bad ones give exactly their mistakes, the good ones exactly their normal form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from provisioner.model.documents import Parsed, decode, parse
from provisioner.model.errors import InvalidDocuments
from provisioner.model.tables import Tables
from tests.unit.model.reading import essence

ROOT = Path(__file__).parents[3]
BAD = sorted((ROOT / "tests/corpus/bad").glob("*.yaml"))
GOOD = sorted((ROOT / "tests/corpus/good").glob("*.yaml"))
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def parsed(path: Path) -> Parsed:
    return parse(decode(path.read_bytes(), source=path.name), source=path.name, tables=Tables.builtin())


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_file_gives_every_mistake_and_no_other(path: Path):
    expected = path.with_suffix(".expected").read_text(encoding="utf-8").splitlines()
    with pytest.raises(InvalidDocuments) as caught:
        parsed(path)
    found = [f"exit {caught.value.exit_code}"]
    for mistake in caught.value.context["mistakes"]:
        meant = f" [{mistake['did_you_mean']}]" if "did_you_mean" in mistake else ""
        found.append(f"{mistake['line']}: {mistake['path']}: {mistake['message']}{meant}")
        assert mistake["file"] == path.name
    assert found == expected


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_file_gives_its_normal_form_and_warnings(path: Path):
    expected = json.loads(path.with_suffix(".normal.json").read_text(encoding="utf-8"))
    found = parsed(path)
    assert [essence(resource) for resource in found.resources] == expected["resources"]
    warnings = [f"{warning.position.line}: {warning.path}: {warning.message}" for warning in found.warnings]
    assert warnings == expected["warnings"]


@pytest.mark.parametrize("path", [*GOOD, *EXAMPLES], ids=lambda path: path.stem)
def test_normal_form_reads_as_itself(path: Path):
    first = parsed(path).resources
    written = yaml.safe_dump_all([resource.as_json() for resource in first], sort_keys=False, allow_unicode=True)
    assert parse(written, source="again", tables=Tables.builtin()).resources == first


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_accepted_without_a_warning(path: Path):
    assert parsed(path).warnings == ()


def test_corpus_is_as_large_as_it_should_be():
    assert len(BAD) >= 100 and len(GOOD) >= 20 and len(EXAMPLES) >= 8
