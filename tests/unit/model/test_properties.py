"""What holds for every input: only one kind of error, lines that exist, and a normal form that reads as itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from provisioner.model.documents import decode, parse
from provisioner.model.errors import InvalidDocuments
from provisioner.model.tables import Tables

TABLES = Tables.builtin()
CORPUS = sorted((Path(__file__).parents[3] / "tests/corpus").glob("*/*.yaml"))
KINDS = [
    "VirtualMachine",
    "VMInstance",
    "VMDisk",
    "Kubernetes",
    "KubernetesNodes",
    "GPUHost",
    "Image",
    "Secret",
    "List",
    "Pod",
    "",
]
VERSIONS = ["apps.cozystack.io/v1alpha1", "hikube.cloud/v1alpha1", "v1", ""]
FIELDS = """name namespace labels source image http disk url storage size gpus disks running runStrategy resources cpu memory
sockets systemDisk sshKeys cloudInit externalPorts nodeGroups minReplicas maxReplicas diskSize ephemeralStorage addons plugins
gpuOperator enabled valuesOverride uri gpuRules vendor ids addresses class cluster version talos oidc users kubelet"""
WORDS = st.sampled_from(FIELDS.split())
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), WORDS,
    st.sampled_from(["", "l40s", "10de:26b9", "5Gi", "u1.medium", "#cloud-config\na: [", "ubuntu", "<x>", "h100", "1234:1111"]),
)  # fmt: skip
TREES: st.SearchStrategy[Any] = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=8), inner, max_size=5),
    max_leaves=25,
)
quick = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def refusal_of(read: Callable[[], object]) -> InvalidDocuments | None:
    """The error that a call ends with, if it is the one that it may end with."""
    try:
        read()
    except InvalidDocuments as error:
        return error
    return None


def check(text: str) -> None:
    """A text is either accepted or refused with mistakes that can be found in it."""
    error = refusal_of(lambda: parse(text, source="any.yaml", tables=TABLES))
    if error is None:
        return
    lines = 1 + sum(text.count(end) for end in ("\n", "\r", "\x85", "\u2028", "\u2029"))
    for mistake in error.context["mistakes"]:
        assert 1 <= mistake["line"] <= lines + 1 and mistake["column"] >= 1
        assert mistake["message"] and mistake["message"].isprintable()
        assert mistake.get("did_you_mean", "").isprintable() and mistake["path"].isprintable()
    assert error.what.endswith("in any.yaml") and error.exit_code == 2


@quick
@given(st.text())
@example("\ud800")
@example("\ufeff")
@example("? [a]\n: b\n? {c: d}\n: e")
@example("&a *a")
@example("%TAG ! tag:x,2000:\n--- !y z")
def test_any_text_is_accepted_or_refused_with_its_mistakes(text: str):
    check(text)


@quick
@given(st.binary())
@example(b"\xff\xfe\x00")
@example(b"\xfe\xff")
@example(b"\x00\x00\xfe\xffa")
def test_any_bytes_are_text_or_refused(data: bytes):
    error = refusal_of(lambda: decode(data, source="any.yaml"))
    if error is None:
        check(decode(data, source="any.yaml"))
    else:
        assert len(error.context["mistakes"]) == 1


@quick
@given(st.sampled_from(CORPUS), st.data())
def test_a_damaged_document_is_accepted_or_refused_with_its_mistakes(path: Path, data: st.DataObject):
    try:
        text = decode(path.read_bytes(), source=path.name)
    except InvalidDocuments:
        return
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 12))
    put = data.draw(
        st.text(max_size=5) | st.sampled_from(["\n", "  ", "\t", ": ", "- ", "[", "{", "&a ", "*a ", "!!", "|", '"', "{{", "'"])
    )
    check(text[:start] + put + text[start + length :])


@quick
@given(st.sampled_from(KINDS), st.sampled_from(VERSIONS), TREES, TREES)
def test_any_tree_under_any_kind_is_accepted_or_refused(kind: str, version: str, metadata: Any, spec: Any):
    tree = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec, "items": [spec]}
    check(yaml.safe_dump(tree, allow_unicode=True))


NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
GPU_NAMES = st.sampled_from(
    sorted({key for model in TABLES.gpus.models for key in (model.name, *model.ids, *model.short_names)})
)
SIZES = st.integers(5, 5000).map(lambda gib: f"{gib}Gi") | st.integers(20_000, 90_000).map(lambda mib: f"{mib}Mi")
VM_SPECS = st.fixed_dictionaries(
    {"instanceType": st.sampled_from([name for name, kind in TABLES.instance_types.items() if kind.memory_mib >= 4096])},
    optional={
        "running": st.booleans(),
        "instanceProfile": st.sampled_from(["ubuntu", "alpine", "", "centos.stream9"]),
        "gpus": st.lists(GPU_NAMES.map(lambda name: {"name": name}), max_size=16),
        "systemDisk": st.fixed_dictionaries({}, optional={"size": st.just("50Gi"), "image": NAMES, "storageClass": NAMES}),
        "disks": st.lists(NAMES, unique=True, max_size=4),
        "subnets": st.lists(NAMES.map(lambda name: {"name": name}), unique_by=str, max_size=3),
        "external": st.booleans(),
        "externalMethod": st.sampled_from(["PortList", "WholeIP"]),
        "externalPorts": st.lists(st.integers(1, 65535), unique=True, max_size=8),
        "resources": st.fixed_dictionaries({}, optional={"cpu": st.integers(1, 64) | st.just(""), "memory": SIZES}),
        "cloudInit": st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"])).map(
            lambda text: f"#!/bin/sh\n{text}\n"
        ),
        "cloudInitSeed": st.integers(0, 99),
        "hostSelector": st.dictionaries(NAMES, NAMES, max_size=3),
    },
)
DISK_SPECS = st.fixed_dictionaries(
    {"storage": SIZES.filter(lambda size: int(size[:-2]) >= 11)},
    optional={
        "source": st.sampled_from([{}, {"upload": {}}, {"image": {"name": "rocky-9"}}, {"http": {"url": "https://a.b/c"}}]),
        "optical": st.booleans(),
    },
)
NODE_SPECS = st.fixed_dictionaries(
    {},
    optional={
        "minReplicas": st.integers(0, 5),
        "maxReplicas": st.integers(5, 50),
        "instanceType": st.sampled_from(["u1.xlarge", "m1.large"]),
        "ephemeralStorage": SIZES | SIZES.map(lambda size: {"size": size}),
        "gpus": st.lists(GPU_NAMES.map(lambda name: {"name": name}), max_size=8),
        "resources": st.just({"cpu": 8, "memory": "64Gi"}) | st.just({}),
        "roles": st.lists(NAMES, max_size=3),
    },
)
CLUSTER_SPECS = st.fixed_dictionaries(
    {"nodeGroups": st.dictionaries(NAMES, NODE_SPECS, max_size=3)},
    optional={"version": st.sampled_from(["v1.31", "v1.33.4"]), "plugins": st.just({"gpu-operator": {"enabled": True}})},
)


@pytest.mark.parametrize(
    ("kind", "specs"),
    [("VirtualMachine", VM_SPECS), ("VMDisk", DISK_SPECS), ("Kubernetes", CLUSTER_SPECS)],
    ids=lambda value: str(value)[:14],
)
def test_normalising_twice_changes_nothing(kind: str, specs: st.SearchStrategy[Any]):
    @settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(specs, NAMES)
    def story(spec: dict[str, Any], name: str) -> None:
        tree = {"apiVersion": "apps.cozystack.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        first = parse(yaml.safe_dump(tree, allow_unicode=True), source="first", tables=TABLES).resources
        written = yaml.safe_dump_all([resource.as_json() for resource in first], allow_unicode=True)
        assert parse(written, source="second", tables=TABLES).resources == first

    story()
