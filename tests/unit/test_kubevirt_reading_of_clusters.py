"""What is read of a cluster besides machines: nodes, pods' requests, the KubeVirt object, claims, refusals, URIs, and news."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioner.drivers.host_events import HostEvent, HostEventKind
from provisioner.drivers.kubevirt.allocation import allocated, published
from provisioner.drivers.kubevirt.appearance import machine_event, node_event, of_instance, of_node
from provisioner.drivers.kubevirt.permitted import claims_are_on, permitted_by, version_of
from provisioner.drivers.kubevirt.refusals import is_expired, refusal
from provisioner.drivers.kubevirt.survey import node_of, requests_of, used_by_node
from provisioner.drivers.kubevirt.uri import ClusterAddress, parse
from provisioner.model import errors
from tests.unit.kubevirt_objects import READY, condition, instance

H100 = "nvidia.com/GH100_H100_NVL"


def asks(**requests: str) -> dict[str, Any]:
    return {"resources": {"requests": {name.replace("gpu", H100): text for name, text in requests.items()}}}


def launcher(node: str = "gpu-1", phase: str = "Running") -> dict[str, Any]:
    """As it was seen: the guest's 16Gi and overhead, the disk's init container, and the sidecar for the console."""
    sidecar = asks(cpu="5m", memory="35M") | {"restartPolicy": "Always"}
    spec = {
        "nodeName": node,
        "containers": [asks(cpu="400m", memory="17720Mi", gpu="1")],
        "initContainers": [sidecar, asks(cpu="1")],
    }
    return {"spec": spec, "status": {"phase": phase}}


def a_node(**changes: Any) -> dict[str, Any]:
    allocatable = {"cpu": "63500m", "memory": "1Ti", H100: "4", "nvidia.com/gpu": "0", "hugepages-1Gi": "0", "pods": "110"}
    labels = {"kubevirt.io/schedulable": "true", "zone": "a"}
    usual = {
        "metadata": {"name": "gpu-1", "labels": labels},
        "spec": {},
        "status": {"allocatable": allocatable, "conditions": [READY]},
    }
    return usual | changes


def test_sidecars_count_beside_and_other_init_containers_before() -> None:
    requests = requests_of(launcher())
    assert requests[H100] == 1
    assert requests["memory"] == 17_720 * 1024**2 + 35_000_000
    assert float(requests["cpu"]) == 1.005, "the init container's 1 beside the sidecar is more than 0.405"


def test_only_bound_pods_that_have_not_ended_use_anything() -> None:
    used = used_by_node([launcher(), launcher(), launcher(node=""), launcher(phase="Succeeded"), launcher(phase="Failed")])
    assert list(used) == ["gpu-1"]
    assert used["gpu-1"][H100] == 2


def test_a_node() -> None:
    found = node_of(a_node(), used_by_node([launcher()]), frozenset({H100}))
    assert (found.name, found.is_schedulable, dict(found.labels)["zone"]) == ("gpu-1", True, "a")
    assert found.devices == ((H100, 4), ("nvidia.com/gpu", 0))
    assert found.devices_used == ((H100, 1),)
    assert (found.memory_mib, found.memory_used_mib) == (1_048_576, 17_754)
    assert (found.cpu_milli, found.cpu_used_milli) == (63_500, 1_005)


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": {"unschedulable": True}},
        {"status": {"conditions": [condition("Ready", "Unknown", "NodeStatusUnknown")]}},
        {"metadata": {"name": "gpu-1", "labels": {"kubevirt.io/schedulable": "false"}}},
        {"metadata": {"name": "gpu-1"}},
    ],
    ids=["cordoned", "silent", "virt-handler silent", "without KubeVirt"],
)
def test_a_node_that_takes_no_machines(changes: dict[str, Any]) -> None:
    assert not node_of(a_node(**changes), {}, frozenset()).is_schedulable


def kubevirt(version: str = "v1.9.0", **developer: Any) -> dict[str, Any]:
    devices = {"pciHostDevices": [{"pciVendorSelector": "10DE:2321", "resourceName": H100}]}
    configuration = {"permittedHostDevices": devices, "developerConfiguration": developer}
    return {"spec": {"configuration": configuration}, "status": {"observedKubeVirtVersion": version}}


def test_the_kubevirt_object() -> None:
    assert permitted_by(kubevirt()) == ((H100, "10DE:2321"),)
    assert permitted_by({"spec": {}}) == ()
    assert version_of(kubevirt()) == "v1.9.0"


@pytest.mark.parametrize(
    ("found", "on"),
    [
        (kubevirt("v1.9.0-beta.0-1264-gd923fdb815"), True),
        (kubevirt("v1.8.2"), False),
        (kubevirt("v1.8.2", featureGates=["GPUsWithDRA"]), True),
        (kubevirt("v1.9.0", disabledFeatureGates=["GPUsWithDRA"]), False),
        (kubevirt(""), True),
    ],
)
def test_whether_gpus_can_be_claimed(found: dict[str, Any], on: bool) -> None:
    assert claims_are_on(found) is on


def test_a_claim_and_a_slice_meet_in_driver_pool_and_name() -> None:
    results = [{"driver": "gpu.nvidia.com", "pool": "gpu-1", "device": "gpu-0", "request": "r1"}]
    claim = {"status": {"allocation": {"devices": {"results": results}}}}
    device = {"name": "gpu-0", "attributes": {"resource.kubernetes.io/pciBusID": {"string": "0000:41:00.0"}}}
    bare = {"name": "gpu-1"}
    made = {"spec": {"driver": "gpu.nvidia.com", "pool": {"name": "gpu-1"}, "devices": [device, bare]}}
    assert list(allocated(claim)) == [("gpu.nvidia.com", "gpu-1", "gpu-0")]
    assert dict(published(made)) == {("gpu.nvidia.com", "gpu-1", "gpu-0"): "0000:41:00.0"}
    assert list(allocated({"status": {}})) == []


def status(message: str, reason: str = "") -> bytes:
    return json.dumps({"kind": "Status", "message": message, "reason": reason}).encode()


@pytest.mark.parametrize(
    ("code", "answer", "kind"),
    [
        (422, status("no", "Invalid"), errors.InvalidInput),
        (400, status('strict decoding error: unknown field "spec.x"', "BadRequest"), errors.InvalidInput),
        (500, status("failed to create typed patch object: .spec.x: field not declared in schema"), errors.InvalidInput),
        (403, status('pods "x" is forbidden: exceeded quota: gpus', "Forbidden"), errors.QuotaExceeded),
        (403, status('User "t" cannot patch resource', "Forbidden"), errors.NotAllowed),
        (403, status("unable to create new content in namespace e because it is being terminated"), errors.Conflict),
        (401, b"", errors.NotAllowed),
        (404, status('namespaces "e" not found', "NotFound"), errors.NotFound),
        (409, status("Apply failed with 2 conflicts", "Conflict"), errors.Conflict),
        (409, status("object is being deleted", "AlreadyExists"), errors.AlreadyExists),
        (406, b"406: Not Acceptable", errors.HypervisorError),
        (429, status("too many requests"), errors.HypervisorError),
        (500, status("failed calling webhook"), errors.HypervisorError),
        (503, b"", errors.HostUnreachable),
    ],
)
def test_refusals(code: int, answer: bytes, kind: type[errors.HikubeError]) -> None:
    found = refusal(code, answer, what="PATCH x was refused")
    assert type(found) is kind
    assert found.context["httpStatus"] == code


def test_a_webhooks_name_is_left_out_of_its_words() -> None:
    text = 'admission webhook "virtual machine-validator.kubevirt.io" denied the request: RunStrategy must be specified'
    assert refusal(422, status(text, "Invalid"), what="x").why == "RunStrategy must be specified"
    assert is_expired(refusal(410, status("too old resource version", "Expired"), what="x"))


@pytest.mark.parametrize(
    ("uri", "context", "kubeconfig"),
    [
        ("kubevirt:", "", ""),
        ("kubevirt://", "", ""),
        ("kubevirt://prod", "prod", ""),
        ("kubevirt://prod?kubeconfig=/etc/k", "prod", "/etc/k"),
        ("kubevirt:?kubeconfig=/etc/k%20b", "", "/etc/k b"),
        ("kubevirt://admin@prod", "admin@prod", ""),
        ("kubevirt://arn:aws:eks:eu:1:cluster/gpu", "arn:aws:eks:eu:1:cluster/gpu", ""),
    ],
)
def test_uris(uri: str, context: str, kubeconfig: str) -> None:
    assert parse(uri) == ClusterAddress(uri=uri, context=context, kubeconfig=kubeconfig)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "qemu:///system",
        "kubevirt://a?context=b",
        "kubevirt://a?kubeconfig=/x&kubeconfig=/y",
        "kubevirt://a#b",
        "kubevirt://[",
    ],
)
def test_uris_that_are_none(uri: str) -> None:
    with pytest.raises(errors.InvalidInput, match="cannot understand"):
        parse(uri)


def test_news_is_what_a_look_would_show() -> None:
    before = of_instance(instance("Scheduling"))
    assert of_instance(instance("Scheduling", generation=7)) == before
    assert of_instance(instance("Scheduled", nodeName="n")) != before
    assert machine_event(("e", "g1"), of_instance(instance("Running"))) == HostEvent(HostEventKind.DOMAIN_STARTED, "e/g1")
    assert machine_event(("e", "g1"), None) == HostEvent(HostEventKind.DOMAIN_STOPPED, "e/g1")
    heartbeat = READY | {"lastHeartbeatTime": "2026-11-22T01:00:00Z"}
    allocatable = {H100: "4", "cpu": "63"}
    quiet = {"status": {"allocatable": allocatable, "conditions": [heartbeat]}}
    assert of_node(a_node(status={"allocatable": allocatable, "conditions": [READY]})) == of_node(a_node(**quiet))
    assert node_event(("", "gpu-1"), None) == HostEvent(HostEventKind.DEVICES_CHANGED, "gpu-1")
