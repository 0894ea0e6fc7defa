"""Our kinds on a real API server, through kubectl: what it takes, what it refuses and in which words, what it shows.

What it cannot check (the tables of GPUs, images and instance types) is a condition of the object, with the words of
`hikube validate`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from provisioner.model.documents import decode, parse_documents, read_data
from provisioner.model.kinds import WORDS
from provisioner.model.metadata import Resource
from provisioner.model.tables import Tables
from provisioner.store.kubernetes.crds.definition import CORE, definitions
from tests.documents import ROOT
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.crd_changes import CHANGES, REFUSED, Change
from tests.kubernetes.crd_rules import CASES, NO_NAME, Case, document, stream
from tests.kubernetes.kubectl import Kubectl

CRDS = ROOT / "deploy" / "crds"
CORPUS = ROOT / "tests" / "corpus" / "good"
TABLES = Tables.builtin()
YAML_1_1 = {"gpuhost-every-field.yaml": "class: 0302", "vminstance-disk-names-halted.yaml": "a label that is yes"}
"""kubectl reads YAML 1.1, where these are a number and a boolean; `hikube` reads what is written."""
PRINTED = {"list-as-printed.yaml": "it has a uid"}
MANIFESTS = [
    path
    for path in sorted([*(ROOT / "examples").glob("*.yaml"), *CORPUS.glob("*.yaml")])
    if path.name not in YAML_1_1 | PRINTED
]
NORMAL = sorted(CORPUS.glob("*.normal.json"))

pytestmark = pytest.mark.usefixtures("kinds")


def _refusals(printed: str) -> dict[str, str]:
    """What was said of each object, by its name."""
    parts = re.split(r"^(?=Error from server|The \S+ \")", printed, flags=re.MULTILINE)
    return {found[1]: part for part in parts if (found := re.search(r'"([a-z0-9.-]+)" is invalid', part))}


def _items(printed: str) -> list[dict[str, Any]]:
    answer: dict[str, Any] = json.loads(printed)
    return answer["items"] if answer["kind"] == "List" else [answer]


def _read(served: Mapping[str, Any]) -> Resource:
    """What hikube understands of an object that the API server has."""
    metadata = {key: served["metadata"][key] for key in ("name", "namespace", "labels") if key in served["metadata"]}
    said = {"apiVersion": served["apiVersion"], "kind": served["kind"], "metadata": metadata, "spec": served.get("spec", {})}
    return read_data(said, source="served", tables=TABLES)


@pytest.fixture(scope="module")
def admin(kinds: ControlPlane) -> Kubectl:
    """For what a whole group of tests asks at once: starting kubectl takes most of the time of a question."""
    return Kubectl(kinds, namespace="default", kubeconfig=kinds.kubeconfig)


def test_definitions_may_be_applied_the_other_way_as_well(kubectl: Kubectl):
    """`kinds` applies them on the server's side; the other way keeps all of a definition in an annotation of limited size."""
    kubectl.ok("apply", "--filename", str(CRDS))
    kubectl.ok("wait", "--for=condition=Established", "--timeout=20s", "--filename", str(CRDS))
    names = kubectl.ok("get", "customresourcedefinitions", "-o", "name", "-l", "app.kubernetes.io/part-of=hikube").split()
    assert len(names) == len(WORDS.keys() - CORE)


@pytest.fixture(scope="module")
def served(admin: Kubectl) -> dict[str, list[dict[str, Any]]]:
    """What the API server makes of every manifest and of every normal form, by the name of the file.

    By server-side apply: the other way leaves out nulls, which mean something in the values of a Helm chart.
    """
    apply = ("apply", "--server-side", "--dry-run=server", "-o", "json")
    files = [argument for path in MANIFESTS for argument in ("-f", str(path))]
    written = iter(_items(admin.ok(*apply, *files)))
    normal = [resource for path in NORMAL for resource in _normal(path)]
    itself = iter(_items(admin.ok(*apply, "-f", "-", stdin=stream(*normal))))
    return {path.name: [next(written) for _ in _meant(path)] for path in MANIFESTS} | {
        path.name: [next(itself) for _ in _normal(path)] for path in NORMAL
    }


def _meant(path: Path) -> tuple[Resource, ...]:
    return parse_documents(decode(path.read_bytes(), source=path.name), source=path.name, tables=TABLES)


def _normal(path: Path) -> list[dict[str, Any]]:
    resources: list[dict[str, Any]] = json.loads(path.read_text())["resources"]
    for resource in resources:
        resource["metadata"].pop("namespace", None)
    return resources


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_what_users_write_is_taken_and_means_the_same_afterwards(path: Path, served: dict[str, list[dict[str, Any]]]):
    """Also with the defaults that the API server fills in: hikube reads the same of the stored object as of the file."""
    assert [(each.key, each.spec) for each in map(_read, served[path.name])] == [(each.key, each.spec) for each in _meant(path)]


@pytest.mark.parametrize("path", NORMAL, ids=lambda path: path.name)
def test_what_hikube_itself_writes_is_taken_as_it_is(path: Path, served: dict[str, list[dict[str, Any]]]):
    assert [each["spec"] for each in served[path.name]] == [each["spec"] for each in _normal(path)]


@pytest.fixture(scope="module")
def judged(admin: Kubectl) -> dict[str, str]:
    """What the API server says of every bad and every good object of the cases; nothing of those that it takes."""
    objects = [
        document(case.kind, f"rule-{number}-{side}", getattr(case, side))
        for number, case in enumerate(CASES)
        for side in ("bad", "good")
    ]
    return _refusals(admin("create", "--dry-run=server", "-f", "-", stdin=stream(*objects)).err)


@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES)), ids=[str(case) for case in CASES])
def test_a_rule_is_told_in_the_words_of_validate_and_its_twin_passes(number: int, case: Case, judged: dict[str, str]):
    assert case.says in judged.get(f"rule-{number}-bad", "accepted")
    assert judged.get(f"rule-{number}-good", "accepted") == "accepted"


@pytest.fixture(scope="module")
def changed(admin: Kubectl) -> Iterator[dict[str, dict[str, str]]]:
    """What the API server says when every object of the changes becomes what it must not, and when it becomes what it may."""
    before = stream(*_objects("before"))
    try:
        admin.ok("create", "-f", "-", stdin=before)
        for number, change in enumerate(CHANGES):
            if change.status:
                where, patch = f"{WORDS[change.kind].plural}/{change.name(number)}", json.dumps({"status": change.status})
                admin.ok("patch", where, "--subresource=status", "--type=merge", "-p", patch)
        replace = ("replace", "--dry-run=server", "-f", "-")
        yield {side: _refusals(admin(*replace, stdin=stream(*_objects(side))).err) for side in ("bad", "good")}
    finally:
        admin("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=before)


def _objects(side: str) -> list[dict[str, Any]]:
    return [document(change.kind, change.name(number), getattr(change, side)) for number, change in enumerate(CHANGES)]


@pytest.mark.parametrize(("number", "change"), list(enumerate(CHANGES)), ids=[str(change) for change in CHANGES])
def test_what_is_decided_once_cannot_be_changed(number: int, change: Change, changed: dict[str, dict[str, str]]):
    assert change.says in changed["bad"].get(change.name(number), "accepted")
    assert changed["good"].get(change.name(number), "accepted") == "accepted"


def test_every_rule_has_a_case():
    """By the beginning of its sentence; of one that is put together, of its longest fixed part."""
    said = [case.says for case in (*CASES, *CHANGES)] + OWN_TESTS
    assert {sentence for sentence in map(_fixed, _rules()) if not any(sentence[:25] in each for each in said)} == set()


OWN_TESTS = ["the name of a claim is its device", "a disk cannot be a copy of itself", NO_NAME]


def _rules() -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    left: list[Any] = list(definitions())
    while left:
        node = left.pop()
        if isinstance(node, dict):
            found += node.get("x-kubernetes-validations", [])
            left += node.values()
        elif isinstance(node, list):
            left += node
    return found


def _fixed(rule: Mapping[str, str]) -> str:
    """The words of a rule without the value, and without the component or addon of which there is a rule each."""
    texts = [text.replace("\\'", "'") for text in re.findall(r"'((?:[^'\\]|\\.)*)'", rule.get("messageExpression", ""))]
    sentence = rule.get("message") or max(texts, key=len).strip('": ')
    return re.sub(r"^\S+ (?=stands under|says the same)", "", sentence)


def test_a_claim_is_named_for_its_device_and_there_is_one_only(kubectl: Kubectl):
    owner = {"kind": "VirtualMachine", "namespace": "a", "name": "vm", "uid": "1"}
    spec = {"host": "claimed", "address": "0000:41:00.0", "gpuName": "nvidia.com/AD102GL_L40S", "owner": owner}
    other = kubectl("create", "-f", "-", stdin=stream(document("GPUClaim", "claimed.0000-42-00.0", spec)))
    assert "the name of a claim is its device, HOST.ADDRESS with '-' for ':', so that there can be one only" in other.err
    claim = stream(document("GPUClaim", "claimed.0000-41-00.0", spec))
    try:
        kubectl.ok("create", "-f", "-", stdin=claim)
        assert "already exists" in kubectl("create", "-f", "-", stdin=claim).err
    finally:
        kubectl("delete", "gpuclaim", "claimed.0000-41-00.0")


@pytest.fixture(scope="module")
def refused(admin: Kubectl) -> list[str]:
    """What is said of them, one after the other."""
    objects = (document(kind, name, spec) for kind, name, spec, _ in REFUSED)
    said = admin("create", "--dry-run=server", "-f", "-", stdin=stream(*objects)).err
    return re.split(r"^(?=Error from server)", said, flags=re.MULTILINE)[1:]


@pytest.mark.parametrize(
    ("number", "says"), [(number, each[-1]) for number, each in enumerate(REFUSED)], ids=lambda value: str(value)[:60]
)
def test_it_is_refused(number: int, says: str, refused: list[str]):
    assert len(refused) == len(REFUSED)
    assert says in refused[number]


def test_what_may_be_secret_is_not_repeated_in_a_refusal(kubectl: Kubectl):
    spec = {"cloudInit": "password: hunter2\n", "sshKeys": ["PRIVATE KEY hunter2"]}
    refused = kubectl("apply", "-f", "-", stdin=json.dumps(document("VirtualMachine", "vm", spec)))
    assert "spec.cloudInit" in refused.err
    assert "spec.sshKeys" in refused.err
    assert "hunter2" not in refused.err
