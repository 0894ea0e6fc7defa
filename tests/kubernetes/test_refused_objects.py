"""Objects that the API server took and nobody understands: told on the object, once; what ran before goes on; mending mends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from provisioner.model.errors import ControllerBusy, InvalidInput, StoreUnavailable
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.metadata import Key, find_condition
from provisioner.model.virtual_machine import FINALIZER, VirtualMachine
from provisioner.store.kubernetes.acceptance import ACCEPTED
from provisioner.store.kubernetes.store import KubernetesStore
from tests.contract.stores import eventually, names, vm
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubectl import Kubectl
from tests.kubernetes.stores import store_of
from tests.kubernetes.test_store_trouble import Listener

GOOD = """
apiVersion: apps.cozystack.io/v1alpha1
kind: VirtualMachine
metadata: {name: typed}
spec:
  running: true
  gpus: [{name: L40S}]
  systemDisk: {image: ubuntu, size: 40Gi}
"""
BAD = GOOD.replace("L40S", "L4OS")
WORSE = GOOD.replace("L40S", "H1000")
ACCEPTED_IS_FALSE = ("wait", "--for=condition=Accepted=False", "virtualmachine/typed", "--timeout=20s")


@pytest.fixture
def plane(kinds: ControlPlane, namespace: str) -> ControlPlane:
    return kinds


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def leader(plane: ControlPlane, opened: ExitStack) -> KubernetesStore:
    """The store of whoever leads: it lists, watches and answers."""
    return leading(plane, opened)


def leading(plane: ControlPlane, opened: ExitStack, class_name: str = "") -> KubernetesStore:
    store = opened.enter_context(store_of(plane, refused=lambda _key, _why: None))
    store.answer(lambda: None, class_name=class_name)
    store.watch(store.list(VirtualMachine).version, timeout_s=0)
    return store


def accepted(kubectl: Kubectl) -> dict[str, Any] | None:
    """The condition of that name; None if there is none."""
    machine = json.loads(kubectl.ok("get", "virtualmachine", "typed", "-o", "json"))
    conditions = (machine.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == "Accepted"), None)


def version(kubectl: Kubectl) -> str:
    return kubectl.ok("get", "virtualmachine", "typed", "-o", "jsonpath={.metadata.resourceVersion}")


def what_validate_says(text: str) -> str:
    """Its lines about the document, without their places in a file."""
    command = [sys.executable, "-c", "from cli.main import main; main()", "validate", "-f", "-"]
    said = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False).stderr
    lines = [line[2:] for line in said.splitlines() if line.startswith("  ")]
    return "\n".join(re.sub(r"^<stdin>:\d+:\d+: ", "", line) for line in lines)


def worked_on(store: KubernetesStore, namespace: str) -> VirtualMachine:
    """As a controller leaves it that has begun."""
    machine = store.get(VirtualMachine, "typed", namespace=namespace)
    machine = store.update(machine.with_metadata(finalizers=(FINALIZER,)))
    return store.update_status(machine.with_status(host="a", observed_generation=machine.metadata.generation))


class TestNew:
    def test_it_says_what_validate_says_and_kubectl_shows_it(self, leader, kubectl):
        kubectl.ok("apply", "--filename", "-", stdin=BAD)
        kubectl.ok(*ACCEPTED_IS_FALSE)
        condition = accepted(kubectl)
        assert condition["reason"] == "InvalidInput"
        assert condition["message"] == what_validate_says(BAD) != ""
        assert "InvalidInput" in kubectl.ok("get", "virtualmachine", "typed")
        assert eventually(lambda: "did you mean" in kubectl.ok("describe", "virtualmachine", "typed"))

    def test_it_is_told_once_for_each_text(self, leader, kubectl, namespace):
        kubectl.ok("apply", "--filename", "-", stdin=BAD)
        kubectl.ok(*ACCEPTED_IS_FALSE)
        kubectl.ok("label", "virtualmachine", "typed", "looked=at")
        kubectl.ok("apply", "--filename", "-", stdin=BAD.replace("40Gi", "50Gi"))
        assert eventually(lambda: (accepted(kubectl) or {})["observedGeneration"] == 2)
        kubectl.ok("apply", "--filename", "-", stdin=WORSE)
        assert eventually(lambda: "H1000" in accepted(kubectl)["message"])
        key = Key("VirtualMachine", namespace, "typed")
        assert eventually(lambda: len(leader.events(key)) == 2)
        assert [event.count for event in leader.events(key)] == [1, 1]

    def test_nothing_is_written_where_it_says_so_already(self, plane, opened, leader, kubectl):
        kubectl.ok("apply", "--filename", "-", stdin=BAD)
        kubectl.ok(*ACCEPTED_IS_FALSE)
        before = version(kubectl)
        leading(plane, opened)
        names(leader, VirtualMachine)
        kubectl.ok("create", "configmap", "later")
        kubectl.ok("apply", "--filename", "-", stdin=BAD.replace("typed", "another"))
        kubectl.ok("wait", "--for=condition=Accepted=False", "virtualmachine/another", "--timeout=20s")
        assert version(kubectl) == before

    def test_it_can_be_deleted_at_once_and_does_not_disturb_a_pass(self, leader, kubectl, namespace):
        kubectl.ok("apply", "--filename", "-", stdin=BAD)
        kubectl.ok(*ACCEPTED_IS_FALSE)
        with pytest.raises(InvalidInput) as refused:
            leader.get(VirtualMachine, "typed", namespace=namespace)
        assert refused.value.context["refused"] == f"VirtualMachine {namespace}/typed"
        leader.delete(Key("VirtualMachine", namespace, "typed"))
        assert kubectl("get", "virtualmachine", "typed").code == 1

    def test_mended_it_is_taken_and_says_nothing_more(self, leader, kubectl, namespace):
        kubectl.ok("apply", "--filename", "-", stdin=BAD)
        kubectl.ok(*ACCEPTED_IS_FALSE)
        listener = Listener(leader)
        kubectl.ok("apply", "--filename", "-", stdin=GOOD)
        assert listener.hears("typed")
        assert eventually(lambda: accepted(kubectl) is None)
        assert find_condition(leader.get(VirtualMachine, "typed", namespace=namespace).status.conditions, "Ready") is None

    def test_only_who_leads_writes(self, plane, opened, kubectl, namespace):
        def fence() -> None:
            raise ControllerBusy("another one leads")

        store = opened.enter_context(store_of(plane, refused=lambda _key, _why: None))
        store.answer(fence, class_name="")
        store.watch(store.list(VirtualMachine).version, timeout_s=0)
        kubectl.ok("apply", "--filename", "-", stdin=BAD)
        names(store, VirtualMachine, namespace=namespace)
        store.close()
        assert accepted(kubectl) is None


class TestRunning:
    def test_the_last_accepted_spec_goes_on(self, plane, opened, leader, kubectl, namespace):
        kubectl.ok("apply", "--filename", "-", stdin=GOOD)
        machine = worked_on(leader, namespace)
        kubectl.ok("apply", "--filename", "-", stdin=BAD)
        kubectl.ok(*ACCEPTED_IS_FALSE)
        for store in (leader, leading(plane, opened)):
            known = store.get(VirtualMachine, "typed", namespace=namespace)
            assert (known.spec, known.metadata.generation) == (machine.spec, machine.metadata.generation)
            assert names(store, VirtualMachine, namespace=namespace) == ["typed"]
        assert find_condition(known.status.conditions, "Accepted").status == "False"
        store.update_status(known.with_status(address="10.0.0.1"))
        assert accepted(kubectl)["status"] == "False"
        assert "L4OS" in kubectl.ok("get", "virtualmachine", "typed", "-o", "jsonpath={.spec.gpus}")

    def test_a_later_spec_that_was_accepted_is_the_one(self, plane, opened, leader, kubectl, namespace):
        kubectl.ok("apply", "--filename", "-", stdin=GOOD)
        worked_on(leader, namespace)
        kubectl.ok("apply", "--filename", "-", stdin=GOOD.replace("running: true", "running: false"))
        record = (
            "get",
            "virtualmachine",
            "typed",
            "-o",
            f"jsonpath={{.metadata.annotations.{ACCEPTED.replace('.', chr(92) + '.')}}}",
        )
        assert eventually(lambda: json.loads(kubectl.ok(*record))["generation"] == 2)
        kubectl.ok("apply", "--filename", "-", stdin=BAD)
        known = leading(plane, opened).get(VirtualMachine, "typed", namespace=namespace)
        assert (known.metadata.generation, str(known.spec.run_strategy)) == (2, "Halted")

    def test_its_deletion_waits_for_its_finalizer_and_then_it_goes(self, leader, kubectl, namespace):
        kubectl.ok("apply", "--filename", "-", stdin=GOOD)
        worked_on(leader, namespace)
        kubectl.ok("apply", "--filename", "-", stdin=BAD)
        kubectl.ok("delete", "virtualmachine", "typed", "--wait=false")
        known = leader.get(VirtualMachine, "typed", namespace=namespace)
        assert known.is_being_deleted
        leader.update(known.with_metadata(finalizers=()))
        assert kubectl("get", "virtualmachine", "typed").code == 1

    def test_a_record_that_was_taken_away_is_remembered(self, leader, kubectl, namespace):
        kubectl.ok("apply", "--filename", "-", stdin=GOOD)
        machine = worked_on(leader, namespace)
        kubectl.ok("apply", "--filename", "-", stdin=BAD)
        kubectl.ok("annotate", "virtualmachine", "typed", f"{ACCEPTED}-")
        assert leader.get(VirtualMachine, "typed", namespace=namespace).spec == machine.spec

    def test_its_class_is_for_life(self, plane, opened, leader, kubectl, namespace):
        kubectl.ok("apply", "--filename", "-", stdin=GOOD)
        worked_on(leader, namespace)
        other = leading(plane, opened, "other")
        kubectl.ok("label", "virtualmachine", "typed", "hikube.cloud/class=other")
        kubectl.ok(*ACCEPTED_IS_FALSE)
        condition = accepted(kubectl)
        assert condition["reason"] == "ClassChanged"
        assert "asks for class other, and the controller of no class" in condition["message"]
        known = other.get(VirtualMachine, "typed", namespace=namespace)
        assert known.metadata.labels["hikube.cloud/class"] == ""
        other.update(known.with_metadata(annotations={"a": "b"}))
        assert (
            kubectl.ok("get", "virtualmachine", "typed", "-o", "jsonpath={.metadata.labels}")
            == '{"hikube.cloud/class":"other"}'
        )
        kubectl.ok("label", "virtualmachine", "typed", "hikube.cloud/class-")
        assert eventually(lambda: accepted(kubectl) is None)


def test_kinds_that_the_cluster_does_not_have_are_said_with_the_way_to_get_them(plane, opened, kubectl):
    store = opened.enter_context(store_of(plane))
    definition = "gpuclaims.hikube.cloud"
    kept = kubectl.ok("get", "customresourcedefinition", definition, "-o", "yaml")
    kubectl.ok("delete", "customresourcedefinition", definition, "--timeout=30s")
    try:
        assert eventually(lambda: "GPUClaim" in _why_not(store))
        with pytest.raises(StoreUnavailable) as unknown:
            store.create(vm("any", namespace="default").model_copy() and _claim())
        assert "kubectl apply --server-side --filename deploy/crds" in unknown.value.hint
    finally:
        kubectl.ok("create", "--filename", "-", stdin=re.sub(r"(?m)^  (resourceVersion|uid): .*\n", "", kept))
        kubectl.ok("wait", "--for=condition=Established", f"customresourcedefinition/{definition}", "--timeout=30s")
    assert eventually(lambda: _why_not(store) == "")


def _claim() -> GPUClaim:
    from tests.contract.stores import GPU, claim

    return claim(GPU)


def _why_not(store: KubernetesStore) -> str:
    try:
        store.list(GPUClaim)
    except StoreUnavailable as error:
        return str(error)
    return ""
