"""The aggregated API, and devices by dynamic resource allocation, through the real API server."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubectl import Kubectl
from tests.kubernetes.kubevirt.fields import at
from tests.kubernetes.kubevirt.fleet import Fleet
from tests.kubernetes.kubevirt.resources import CLAIMS, MACHINES
from tests.kubernetes.kubevirt.specs import gpu_spec, machine

DRIVER = "gpu.example.com"


class Caller:
    """PUTs subresources and shows the bare answer."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        plane = fleet.kubevirt.plane
        trusts = ssl.create_default_context(cafile=str(plane.root / "authority.crt"))
        trusts.load_cert_chain(plane.root / "admin.crt", plane.root / "admin.key")
        self._connection = http.client.HTTPSConnection(urlsplit(plane.server).netloc, context=trusts, timeout=20)

    def put(self, verb: str, name: str, body: str | None = None, accept: str = "*/*") -> tuple[int, bytes]:
        """Its code and its body."""
        base = f"/apis/subresources.kubevirt.io/v1/namespaces/{self._fleet.namespace}/virtualmachines"
        self._connection.request("PUT", f"{base}/{name}/{verb}", body, {"Accept": accept})
        response = self._connection.getresponse()
        return response.status, response.read()

    def says(self, verb: str, name: str, body: str | None = None) -> tuple[int, str]:
        """Of a refusal: its code and its message."""
        code, answer = self.put(verb, name, body)
        return code, str(json.loads(answer)["message"])

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def caller(fleet: Fleet) -> Iterator[Caller]:
    """Once the API server believes in the aggregated API."""
    made = Caller(fleet)
    fleet.kubevirt.eventually(lambda: made.put("start", "nobody")[0] == 404, what="the aggregated API is served")
    yield made
    made.close()


def test_start_stop_and_restart_answer_202_with_nothing(fleet: Fleet, caller: Caller) -> None:
    says = 'Operation cannot be fulfilled on virtualmachine.kubevirt.io "v": '
    fleet.create("v", strategy="Halted")
    fleet.until("v", "Stopped")
    assert caller.put("start", "v", accept="application/json") == (406, b"406: Not Acceptable")
    assert caller.says("stop", "v") == (409, f"{says}VM is not running")
    assert caller.says("restart", "v") == (409, f"{says}VM is not running: Halted")
    assert caller.put("start", "v", accept="application/json, */*") == (202, b"")
    assert at(fleet.kubevirt.vm(fleet.namespace, "v"), "spec", "runStrategy") == "Always"
    fleet.until_ready("v")
    uid = fleet.instance_uid("v")
    assert caller.says("start", "v") == (409, f"{says}VM is already running")
    refused = "For force restart, only gracePeriod=0 is supported for now"
    assert caller.says("restart", "v", '{"gracePeriodSeconds": 10}') == (400, refused)
    assert caller.put("restart", "v") == (202, b"")
    fleet.until_ready("v", after=uid)
    assert caller.put("stop", "v") == (202, b"")
    assert at(fleet.kubevirt.vm(fleet.namespace, "v"), "spec", "runStrategy") == "Halted"
    assert caller.says("start", "nope") == (404, 'virtualmachine.kubevirt.io "nope" not found')


def test_a_right_to_start_is_a_right_of_its_own(fleet: Fleet, caller: Caller, control_plane: ControlPlane) -> None:
    fleet.create("v", strategy="Halted")
    kubectl = Kubectl(control_plane, namespace=fleet.namespace, kubeconfig=control_plane.kubeconfig)
    path = f"/apis/subresources.kubevirt.io/v1/namespaces/{fleet.namespace}/virtualmachines/v/start"
    refused = kubectl.as_user("tenant")("replace", "--raw", path, "-f", "/dev/null").err
    assert 'User "tenant" cannot update resource "virtualmachines/start" in API group "subresources.kubevirt.io"' in refused


def test_a_claim_is_made_for_each_start_and_allocated_by_the_scheduler(fleet: Fleet) -> None:
    fleet.kubevirt.offer_devices("gpu-1", driver=DRIVER, devices={"gpu-0": "0000:41:00.0"})
    fleet.kubevirt.claim_template(fleet.namespace, "gput", device_class=DRIVER)
    for name in ("first", "second"):
        fleet.client.create(MACHINES, machine(name, fleet.namespace, _claiming("gput")))
    fleet.kubevirt.eventually(
        lambda: {fleet.printed(name) for name in ("first", "second")} == {"Running", "ErrorUnschedulable"}, what="one has it"
    )
    waits, runs = sorted(("first", "second"), key=fleet.printed)
    assert "cannot allocate all claims" in str(fleet.condition(waits, "PodScheduled"))
    (status,) = fleet.pod(runs)["status"]["resourceClaimStatuses"]
    claim = fleet.client.get(CLAIMS.path(fleet.namespace, status["resourceClaimName"])) or {}
    (result,) = claim["status"]["allocation"]["devices"]["results"]
    assert (result["driver"], result["pool"], result["device"]) == (DRIVER, "gpu-1", "gpu-0")
    fleet.delete(runs)
    fleet.until_ready(waits)


def test_a_missing_claim_template_is_an_event_of_the_pod_only(fleet: Fleet) -> None:
    fleet.client.create(MACHINES, machine("v", fleet.namespace, _claiming("nosuch")))
    text = 'PodResourceClaim c1: resource claim template "nosuch": resourceclaimtemplate.resource.k8s.io "nosuch" not found'
    fleet.kubevirt.eventually(lambda: ("Warning", "FailedResourceClaimCreation", text) in fleet.events("Pod"), what="so")
    fleet.kubevirt.eventually(lambda: fleet.phase("v") == "Scheduling", what="its pod is there")
    assert fleet.printed("v") == "Starting"
    assert fleet.condition("v", "PodScheduled") is None


def _claiming(template: str) -> dict[str, object]:
    claimed = [{"name": "g", "claimName": "c1", "requestName": "r1"}]
    devices = {"devices": {"gpus": claimed}}
    return gpu_spec(domain=devices, resourceClaims=[{"name": "c1", "resourceClaimTemplateName": template}])
