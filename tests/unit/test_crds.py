"""The definitions in deploy/crds are those of the model, and of a form that an API server takes.

Whether a real one takes them, and what it then refuses, is tests/kubernetes/test_crds.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.model.door import (
    addons,
    gpu_host,
    gpu_quota,
    image,
    kubernetes,
    kubernetes_nodes,
    node_groups,
    virtual_machine,
)
from provisioner.model.kinds import KINDS, WORDS
from provisioner.store.kubernetes.crds import documents
from provisioner.store.kubernetes.crds.definition import CORE, definitions
from tests.documents import ROOT

CRDS = ROOT / "deploy" / "crds"
NORMAL = sorted((ROOT / "tests" / "corpus" / "good").glob("*.normal.json"))
BY_KIND = {each["spec"]["names"]["kind"]: each for each in definitions()}
WRITTEN_BY_USERS = ("VirtualMachine", "VMInstance", "VMDisk", "Kubernetes", "KubernetesNodes", "GPUHost", "GPUQuota", "Image")
TYPES = {"object", "array", "string", "integer", "number", "boolean"}
FORBIDDEN = {
    "$ref",
    "definitions",
    "uniqueItems",
    "writeOnly",
    "readOnly",
    "xml",
    "discriminator",
    "patternProperties",
    "allOf",
}
STEP = re.compile(r"\.([A-Za-z0-9]+)|\[(\*|\d+|\?\([^)]*\))\]")
Schema = dict[str, Any]

each_kind = pytest.mark.parametrize("kind", BY_KIND)


def _schema(kind: str) -> Schema:
    schema: Schema = BY_KIND[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every place of a schema with its path; what stands in `anyOf` and `not` is no place of its own."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _walk(child, f"{path}.{name}")
    if "items" in schema:
        yield from _walk(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from _walk(schema["additionalProperties"], f"{path}{{}}")


def _at(kind: str, path: str) -> Schema:
    return dict(_walk(_schema(kind)))[path]


def test_the_files_are_what_the_model_says_now():
    stale = [path.name for path in documents.differences(CRDS)]
    assert stale == [], "run `python -m provisioner.store.kubernetes.crds`"


def test_every_kind_has_one_but_those_that_every_api_server_has():
    assert BY_KIND.keys() == WORDS.keys() - CORE
    assert sorted(path.name for path in CRDS.iterdir()) == sorted(documents.texts())


def test_writing_twice_changes_nothing_and_takes_away_what_is_nobodys(tmp_path: Path):
    (tmp_path / "widgets.hikube.cloud.yaml").write_text("kind: Widget\n")
    assert len(documents.write(tmp_path)) == len(BY_KIND) + 1
    assert documents.write(tmp_path) == []
    assert not (tmp_path / "widgets.hikube.cloud.yaml").exists()


def test_the_text_of_a_definition_reads_as_the_definition_again():
    read = [yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) for text in documents.texts().values()]
    assert {each["spec"]["names"]["kind"]: each for each in read} == BY_KIND


@each_kind
def test_names_are_those_of_the_kind(kind: str):
    names, words = BY_KIND[kind]["spec"]["names"], WORDS[kind]
    assert (names["plural"], names["singular"], names["categories"]) == (words.plural, words.singular, ["hikube"])
    assert set(words.short_names) - set(names["shortNames"]) <= {"nodes", "quota", "quotas"}
    assert BY_KIND[kind]["spec"]["scope"] == ("Namespaced" if KINDS[kind].NAMESPACED else "Cluster")
    assert BY_KIND[kind]["spec"]["versions"][0]["subresources"] == {"status": {}}


@each_kind
def test_every_place_has_a_type_unless_it_is_free_or_a_number_or_a_text(kind: str):
    for path, place in _walk(_schema(kind)):
        is_free = place.get("x-kubernetes-preserve-unknown-fields") or place.get("x-kubernetes-int-or-string")
        assert place.get("type") in TYPES or is_free, path
        assert not (is_free and place.get("x-kubernetes-int-or-string") and "type" in place), path
        assert not FORBIDDEN & place.keys(), path
        assert not ("properties" in place and "additionalProperties" in place), path
        assert ("items" in place) == (place.get("type") == "array"), path


@each_kind
def test_unknown_fields_are_kept_only_where_the_data_is_not_ours(kind: str):
    free = {path for path, place in _walk(_schema(kind)) if place.get("x-kubernetes-preserve-unknown-fields")}
    ours = re.compile(r"\.spec\.(disks|networks|subnets)\[\]|.*\.ephemeralStorage")
    theirs = re.compile(r".*\.(valuesOverride|customConfig|registryMirrors)|.*\.extraVolume(Mount)?s\[\]")
    assert [path for path in free if not ours.fullmatch(path) and not theirs.fullmatch(path)] == []
    for path in filter(ours.fullmatch, free):  # a text or a mapping: the keys of the mapping are counted out
        assert all("maxProperties" in form for form in _at(kind, path)["anyOf"]), path


@each_kind
def test_nothing_that_another_field_can_say_as_well_is_filled_in(kind: str):
    filled = {path for path, place in _walk(_schema(kind)) if "default" in place}
    said_twice = r"\.(runStrategy|instanceProfile|storage|diskSize|controlPlane\.replicas)$"
    assert [path for path in filled if re.search(said_twice, path) or not path.startswith(".spec")] == []


@pytest.mark.parametrize("kind", WRITTEN_BY_USERS)
def test_every_field_of_a_spec_is_described(kind: str):
    places = _walk(_schema(kind)["properties"]["spec"])
    assert [path for path, place in places if not path.endswith(("[]", "{}")) and not place.get("description")] == []


def test_conditions_are_a_map_by_their_type():
    for kind in BY_KIND:
        conditions = _at(kind, ".status.conditions")
        assert (conditions["x-kubernetes-list-type"], conditions["x-kubernetes-list-map-keys"]) == ("map", ["type"])


@pytest.mark.parametrize(
    ("kind", "path", "fields"),
    [
        ("VirtualMachine", ".spec", virtual_machine.FIELDS),
        ("VMInstance", ".spec", virtual_machine.FIELDS),
        ("VMDisk", ".spec", ("source", "optical", "storage", "size", "storageClass")),
        ("GPUHost", ".spec", gpu_host.FIELDS),
        ("GPUQuota", ".spec", gpu_quota.FIELDS),
        ("Image", ".spec", image.IMAGE_FIELDS),
        ("Kubernetes", ".spec", kubernetes.FIELDS),
        ("Kubernetes", ".spec.nodeGroups{}", node_groups.GROUP_FIELDS),
        ("Kubernetes", ".spec.addons", addons.ADDONS),
        ("Kubernetes", ".spec.plugins", addons.PLUGINS),
        ("KubernetesNodes", ".spec", kubernetes_nodes.FIELDS),
    ],
)
def test_the_fields_are_those_that_documents_may_have(kind: str, path: str, fields: tuple[str, ...]):
    assert set(_at(kind, path)["properties"]) == set(fields)


@pytest.mark.parametrize("path", NORMAL, ids=lambda path: path.name)
def test_every_field_that_hikube_itself_writes_is_there(path: Path):
    for resource in json.loads(path.read_text())["resources"]:
        assert list(_unknown(resource, _schema(resource["kind"]))) == []


def _unknown(value: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """Paths of a value that a schema does not know; metadata is the API server's own."""
    if schema.get("x-kubernetes-preserve-unknown-fields") or path == ".metadata":
        return
    if isinstance(value, dict):
        for key, member in value.items():
            known = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            if known is None:
                yield f"{path}.{key}"
            else:
                yield from _unknown(member, known, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from _unknown(item, schema["items"], f"{path}[]")


@each_kind
def test_columns_show_fields_that_there_are(kind: str):
    columns = BY_KIND[kind]["spec"]["versions"][0]["additionalPrinterColumns"]
    assert columns[-1]["name"] == "Age"
    for column in columns[:-1]:
        place = _schema(kind)
        for name, index in STEP.findall(column["jsonPath"]):
            place = place["items"] if index else place["properties"][name]
        assert place, column


@each_kind
def test_rules_read_nothing_that_has_no_bound(kind: str):
    """An API server reckons with the longest text there could be; it must be told how long that is."""
    for path, place in _walk(_schema(kind)):
        if "x-kubernetes-validations" in place and (place.get("type") == "string" or place.get("x-kubernetes-int-or-string")):
            assert "maxLength" in place, path


def column_row(kind: str) -> str:
    """The row of the reference page that says what `kubectl get` shows of a kind."""
    names = BY_KIND[kind]["spec"]["names"]
    columns = BY_KIND[kind]["spec"]["versions"][0]["additionalPrinterColumns"]
    always, wide = (
        [each["name"].upper() for each in columns if bool(each.get("priority")) is is_wide] for is_wide in (False, True)
    )
    return f"| {kind} | {', '.join(names['shortNames'])} | {', '.join(always)} | {', '.join(wide) or '–'} |"


@each_kind
def test_the_page_says_what_is_shown_of_it(kind: str):
    page = (ROOT / "docs" / "reference" / "custom-resources.md").read_text(encoding="utf-8")
    assert column_row(kind) in page, f"put this row there\n{column_row(kind)}"
