"""Our manifests keep the rules of manifest_rules.py, with whatever values; and each rule can be broken."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.documents import ROOT
from tests.kubernetes.charts import CRDS_APART, EVERYTHING, Document, Helm, only
from tests.kubernetes.manifest_rules import RULES, violations

PLAIN = ROOT / "deploy" / "manifests" / "hikube.yaml"

Change = Callable[[Any, list[Document]], None]
"""Of the deployment's pod, and of all objects beside it."""


@pytest.fixture(scope="module")
def helm(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def documents(helm: Helm) -> list[Document]:
    return helm.rendered(*CRDS_APART)


@pytest.mark.parametrize("values", [(), EVERYTHING, ("--set=replicas=1",)], ids=["default", "everything", "one replica"])
def test_the_chart_keeps_the_rules(helm, values):
    assert violations(helm.rendered(*values)) == []


def test_the_plain_manifests_keep_the_rules():
    assert violations([each for each in yaml.safe_load_all(PLAIN.read_text()) if each]) == []


def test_the_plain_manifests_are_the_chart_with_its_default_values(tools, tmp_path):
    subprocess.run([str(ROOT / "scripts" / "manifests"), str(tmp_path)], check=True, timeout=60)
    fresh = (tmp_path / PLAIN.name).read_text()
    assert fresh == PLAIN.read_text(), "they differ: run scripts/manifests"


def test_the_plain_manifests_say_nothing_of_helm_and_hold_pods_to_the_strictest_standard():
    text = PLAIN.read_text()
    assert "Helm" not in text
    (namespace,) = [each for each in yaml.safe_load_all(text) if each["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def _labels(pod: Any, _: list[Document]) -> None:
    pod["metadata"]["labels"] = {"app": "another"}


def _wildcard(_: Any, documents: list[Document]) -> None:
    only(documents, "Role")["rules"].append({"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]})


def _impersonation(_: Any, documents: list[Document]) -> None:
    only(documents, "Role")["rules"].append({"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]})


def _binding(_: Any, documents: list[Document]) -> None:
    only(documents, "RoleBinding")["roleRef"]["name"] = "nobody"


def _without(kind: str) -> Change:
    def change(_: Any, documents: list[Document]) -> None:
        documents.remove(only(documents, kind))

    return change


def _with(place: str, **fields: Any) -> Change:
    """Set fields at a dotted place below the pod's spec; None takes one away."""

    def change(pod: Any, _: list[Document]) -> None:
        aim = pod["spec"]
        for step in place.split(".") if place else ():
            aim = aim[int(step)] if step.isdecimal() else aim[step]
        for name, value in fields.items():
            aim.pop(name, None)
            if value is not None:
                aim[name] = value

    return change


def _of(kind: str, place: str, value: Any) -> Change:
    def change(_: Any, documents: list[Document]) -> None:
        aim: Any = only(documents, kind)
        *steps, last = place.split(".")
        for step in steps:
            aim = aim[int(step)] if step.isdecimal() else aim[step]
        aim[last] = value

    return change


BROKEN: list[tuple[str, Change]] = [
    ("image_is_a_version", _with("containers.0", image="hikube")),
    ("image_is_a_version", _with("containers.0", image="registry:5000/hikube:latest")),
    ("runs_as_nobody", _with("securityContext", runAsNonRoot=None)),
    ("runs_as_nobody", _with("securityContext", runAsUser=0)),
    ("runs_as_nobody", _with("securityContext", seccompProfile=None)),
    ("containers_are_confined", _with("containers.0.securityContext", readOnlyRootFilesystem=False)),
    ("containers_are_confined", _with("containers.0.securityContext", allowPrivilegeEscalation=None)),
    ("containers_are_confined", _with("containers.0.securityContext", capabilities={"drop": ["ALL"], "add": ["NET_ADMIN"]})),
    ("stays_in_its_pod", _with("", hostNetwork=True)),
    ("stays_in_its_pod", _with("volumes.0", emptyDir=None, hostPath={"path": "/"})),
    ("stays_in_its_pod", _with("containers.0.ports.0", hostPort=8080)),
    ("resources_are_set", _with("containers.0", resources={"requests": {"cpu": "1", "memory": "1Gi"}})),
    ("resources_are_set", _with("volumes.0", emptyDir={})),
    ("is_probed", _with("containers.0", readinessProbe=None)),
    ("is_probed", _with("containers.0.livenessProbe.httpGet", port="metrics")),
    ("writes_only_where_a_volume_is", _with("containers.0.volumeMounts.0", name="nothing")),
    ("no_wildcards", _wildcard),
    ("no_wildcards", _impersonation),
    ("tokens_only_where_used", _of("ServiceAccount", "automountServiceAccountToken", True)),
    ("tokens_only_where_used", _with("", automountServiceAccountToken=None)),
    ("tokens_only_where_used", _with("", serviceAccountName="default")),
    ("bindings_lead_somewhere", _binding),
    ("bindings_lead_somewhere", _without("ServiceAccount")),
    ("selectors_match", _labels),
    ("selectors_match", _of("Service", "spec.selector", {"app": "another"})),
    ("selectors_match", _of("NetworkPolicy", "spec.podSelector", {"matchLabels": {}})),
    ("replicas_are_kept", _without("PodDisruptionBudget")),
    ("replicas_are_kept", _of("PodDisruptionBudget", "spec.maxUnavailable", 0)),
    ("replicas_are_kept", _with("", topologySpreadConstraints=None)),
    ("network_is_closed", _without("NetworkPolicy")),
    ("network_is_closed", _of("NetworkPolicy", "spec.policyTypes", ["Ingress"])),
    ("network_is_closed", _of("NetworkPolicy", "spec.egress", [{}])),
    ("has_a_namespace", _of("Service", "metadata", {"name": "hikube-metrics"})),
]


@pytest.mark.parametrize(("rule", "change"), BROKEN, ids=[f"{number}-{rule}" for number, (rule, _) in enumerate(BROKEN)])
def test_each_rule_can_be_broken(documents, rule, change):
    broken = copy.deepcopy(documents)
    change(only(broken, "Deployment")["spec"]["template"], broken)
    assert rule in {each.partition(":")[0] for each in violations(broken)}


def test_every_rule_is_broken_once():
    assert {rule for rule, _ in BROKEN} == {rule.__name__ for rule in RULES}


def test_the_rules_look_at_what_is_there(documents):
    assert violations(documents) == []
    assert {"Deployment", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount"} <= {each["kind"] for each in documents}
