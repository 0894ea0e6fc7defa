"""Our kinds as people use them with kubectl: explained, applied again, waited for, shown in columns, by every name."""

from __future__ import annotations

import json
import re

import pytest

from provisioner.store.kubernetes.crds.definition import definitions
from tests.documents import ROOT
from tests.kubernetes.kubectl import Kubectl

VM = {"apiVersion": "apps.cozystack.io/v1alpha1", "kind": "VirtualMachine", "metadata": {"name": "vm"}}
GPUS = {"spec": {"gpus": [{"name": "L40S"}, {"name": "L40S"}]}}
FORGED = {"status": {"phase": "Ready", "host": "forged"}}

pytestmark = pytest.mark.usefixtures("kinds")


def test_explain_says_what_a_field_is_for(kubectl: Kubectl):
    said = kubectl.ok("explain", "virtualmachine.spec.gpus", "--api-version=apps.cozystack.io/v1alpha1")
    assert "Whole GPUs: one entry for each." in said
    assert re.search(r"name\s+<string> -required-\s+The model: a resource name", said)


def test_applied_again_nothing_changes_and_nothing_differs(kubectl: Kubectl):
    manifest = ("-f", str(ROOT / "examples" / "vm-l40s.yaml"))
    assert "created" in kubectl.ok("apply", *manifest)
    assert "unchanged" in kubectl.ok("apply", *manifest)
    kubectl.ok("diff", *manifest)
    assert "serverside-applied" in kubectl.ok("apply", "--server-side", "--force-conflicts", *manifest)
    before = kubectl.ok("get", "vm", "-o", "jsonpath={.items[*].metadata.resourceVersion}")
    kubectl.ok("apply", "--server-side", *manifest)
    kubectl.ok("diff", "--server-side", *manifest)
    assert kubectl.ok("get", "vm", "-o", "jsonpath={.items[*].metadata.resourceVersion}") == before


def test_a_status_is_written_on_its_own_path_only_and_can_be_waited_for(kubectl: Kubectl):
    kubectl.ok("apply", "-f", "-", stdin=json.dumps(VM | GPUS | FORGED))
    assert kubectl.ok("get", "vm", "vm", "-o", "jsonpath={.status}") == ""
    waiting = kubectl("wait", "--for=condition=Ready", "vm/vm", "--timeout=1s")
    assert "timed out" in waiting.err
    status = {"phase": "Ready", "host": "host-a", "address": "10.0.0.7", "conditions": [_ready("True", "Done")]}
    kubectl.ok("patch", "vm", "vm", "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    kubectl.ok("wait", "--for=condition=Ready", "vm/vm", "--timeout=20s")
    assert kubectl.ok("get", "vm", "vm", "-o", "jsonpath={.metadata.generation}") == "1"


def _ready(status: str, reason: str, message: str = "") -> dict[str, str]:
    return {"type": "Ready", "status": status, "reason": reason, "message": message}


def _cells(printed: str) -> dict[str, str]:
    titles, values = printed.splitlines()[:2]
    starts = [found.start() for found in re.finditer(r"\S+", titles)]
    ends = [*starts[1:], None]
    return {titles[a:b].strip(): values[a:b].strip() for a, b in zip(starts, ends, strict=True)}


def test_columns_say_whether_it_is_ready_with_which_gpu_where_and_why_not(kubectl: Kubectl):
    kubectl.ok("apply", "-f", "-", stdin=json.dumps(VM | GPUS))
    why = _ready("False", "InsufficientGPUs", "1 host: 0 of 1 L40S free")
    patch = json.dumps({"status": {"phase": "Pending", "host": "host-a", "conditions": [why]}})
    kubectl.ok("patch", "vm", "vm", "--subresource=status", "--type=merge", "-p", patch)
    shown = _cells(kubectl.ok("get", "vm", "vm"))
    assert {key: shown[key] for key in ("NAME", "READY", "PHASE", "GPU", "HOST", "REASON")} == {
        "NAME": "vm",
        "READY": "False",
        "PHASE": "Pending",
        "GPU": "L40S",
        "HOST": "host-a",
        "REASON": "InsufficientGPUs",
    }
    wide = _cells(kubectl.ok("get", "vm", "vm", "-o", "wide"))
    assert (wide["MESSAGE"], wide["GPUS"]) == ("1 host: 0 of 1 L40S free", '[{"name":"L40S"},{"name":"L40S"}]')


def test_every_kind_answers_to_its_names_and_all_of_them_to_hikube(kubectl: Kubectl):
    resources = kubectl.ok("api-resources", "--categories=hikube", "-o", "name", "--cached=false").split()
    assert sorted(resources) == sorted(definition["metadata"]["name"] for definition in definitions())
    assert "hikube" not in kubectl.ok("api-resources", "--categories=all", "-o", "name")
    names = [definition["spec"]["names"] for definition in definitions()]
    kubectl.ok("get", ",".join(word for each in names for word in (each["singular"], *each["shortNames"], "hikube")))
    assert re.search(r"KIND: +Node\n", kubectl.ok("explain", "nodes"))
