"""What admission says, word for word, through the real API server: sections 2, 5, 6, 9 and 13 of what was observed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kubernetes.kubevirt.api import Refused
from tests.kubernetes.kubevirt.cluster import KubeVirtCluster
from tests.kubernetes.kubevirt.fields import Document, at, items
from tests.kubernetes.kubevirt.fleet import Fleet
from tests.kubernetes.kubevirt.resources import INSTANCES, MACHINES
from tests.kubernetes.kubevirt.specs import H100, gpu_spec, machine, merged

BY = 'admission webhook "virtualmachine-validator.kubevirt.io" denied the request: '
SPEC = "spec.template.spec"
ROOT = {"name": "root", "containerDisk": {"image": "ubuntu:24.04"}}
CLAIM = {"resourceClaims": [{"name": "c1", "resourceClaimTemplateName": "t"}]}


def gpus(*entries: Document, **more: Any) -> Document:
    return merged(gpu_spec(), {"domain": {"devices": {"gpus": list(entries)}}} | more)


def seed(source: str = "cloudInitNoCloud", **data: Any) -> Document:
    return gpu_spec(volumes=[ROOT, {"name": "seed", source: data}])


NO_CLOUD = f"{SPEC}.volumes[1].cloudInitNoCloud"
USE_SECRET = "byte limit. Should use UserDataSecretRef for larger data."
DRA = {"name": "g", "claimName": "c1", "requestName": "r1"}
PLAIN = {"name": "p", "deviceName": H100}
NO_CLOUD_KEY = {"source": {"secret": {"secretName": "k"}}, "propagationMethod": {"noCloud": {}}}
AGENT_KEY = {"source": {"secret": {"secretName": "k"}}, "propagationMethod": {"qemuGuestAgent": {"users": []}}}

TEXTS: tuple[tuple[str, Document], ...] = (
    (
        "vmi.spec.domain.devices.gpus contains GPUs without deviceName or claimRequest; each GPU must specify either a "
        "deviceName or a claimRequest",
        gpus({"name": "g"}),
    ),
    ("vmi.spec.domain.devices.gpus contains GPUs with both deviceName and claimRequest", gpus(DRA | PLAIN, **CLAIM)),
    (
        "vmi.spec.resourceClaims must specify all claims used in vmi.spec.domain.devices.gpus and "
        "vmi.spec.domain.devices.hostDevices",
        gpus(DRA),
    ),
    ("requestName is required for DRA GPU", gpus({"name": "g", "claimName": "c1"}, **CLAIM)),
    ('duplicate claimName/requestName pair "c1/r1"', gpus(DRA, DRA | {"name": "h"}, **CLAIM)),
    (
        "vmi.spec.domain.devices.gpus contains both DRA and non-DRA GPUs; each GPU must be either DRA or non-DRA",
        gpus(DRA, PLAIN, **CLAIM),
    ),
    (
        f"{SPEC}.domain.devices.disks[0].Name 'other' not found.",
        gpu_spec(domain={"devices": {"disks": [{"name": "other", "disk": {}}]}}),
    ),
    (f"{SPEC}.evictionStrategy is set with an unrecognized option: Foo", gpu_spec(evictionStrategy="Foo")),
    (
        f"{SPEC}.domain.resources.requests.memory '0' is not a multiple of the page size "
        f"{SPEC}.domain.memory.hugepages.pageSize '2Gi'",
        gpu_spec(domain={"memory": {"guest": "15Gi", "hugepages": {"pageSize": "2Gi"}}}),
    ),
    (
        f"{SPEC}.domain.resources.requests.cpu or {SPEC}.domain.resources.limits.cpu must not be provided at the same time "
        f"with {SPEC}.domain.cpu.cores when DedicatedCPUPlacement is true ",
        gpu_spec(domain={"cpu": {"dedicatedCpuPlacement": True}, "resources": {"requests": {"cpu": "4"}}}),
    ),
    (f"{NO_CLOUD} userdata exceeds 2048 {USE_SECRET}", seed(userData="a" * 2049)),
    (f"{NO_CLOUD} networkdata exceeds 2048 {USE_SECRET.replace('User', 'Network')}", seed(networkData="a" * 2049)),
    (
        f"{SPEC}.volumes[1].cloudInitConfigDrive userdata exceeds 2048 {USE_SECRET}",
        seed("cloudInitConfigDrive", userData="a" * 2049),
    ),
    (f"{NO_CLOUD} must have at least one userdatasource or one networkdatasource set.", seed()),
    (f"{NO_CLOUD} must have only one userdatasource set.", seed(userData="a", secretRef={"name": "s"})),
    (
        f"{SPEC}.accessCredentials[0] requires a noCloud volume to exist when the noCloud propagationMethod is in use.",
        gpu_spec(accessCredentials=[{"sshPublicKey": NO_CLOUD_KEY}]),
    ),
    (
        f"{SPEC}.accessCredentials[0] requires at least one user to be present in the users list",
        gpu_spec(accessCredentials=[{"sshPublicKey": AGENT_KEY}]),
    ),
)


@pytest.fixture
def empty(kubevirt: KubeVirtCluster) -> Fleet:
    """Without a node: nothing here needs one."""
    return Fleet(kubevirt)


def test_what_is_refused_is_refused_in_kubevirts_words(empty: Fleet) -> None:
    for text, spec in TEXTS:
        refused = empty.refusal(machine("v", empty.namespace, spec))
        assert refused is not None, text
        assert (refused.code, refused.reason, str(refused)) == (422, "Invalid", BY + text)
        assert items(refused.status, "details", "causes")[0]["message"] == text


def test_run_strategy_and_running_exclude_each_other(empty: Fleet) -> None:
    def refusal(**spec: Any) -> str:
        return str(empty.refusal(machine("v", empty.namespace, gpu_spec(), strategy=None, **spec))).removeprefix(BY)

    both = "Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use RunStrategy instead"
    assert refusal(running=True, runStrategy="Always") == both
    assert refusal() == "RunStrategy must be specified"
    assert refusal(runStrategy="Sometimes") == "Invalid RunStrategy (Sometimes)"


def test_what_is_found_later_is_accepted(empty: Fleet) -> None:
    accepted = {
        "wrong-device": gpu_spec("nvidia.com/NOPE"),
        "exactly-2048": seed(userData="a" * 2048),
        "encoded-2048": seed(userDataBase64="YWFh" * 682 + "YWE="),
        "missing-secret": seed(secretRef={"name": "nope"}),
        "two-of-one-name": gpus(PLAIN, PLAIN),
        "without-a-name": gpus({"deviceName": H100}),
        "unused-claim": gpu_spec(**CLAIM),
        "dots.in.its.name": gpu_spec(),
        "l" * 64: gpu_spec(),
    }
    for name, spec in accepted.items():
        assert empty.refusal(machine(name, empty.namespace, spec, strategy="Halted")) is None, name


def test_a_stored_vm_is_not_what_was_sent(empty: Fleet) -> None:
    made = empty.create("v", strategy="Halted")
    spec = made["spec"]["template"]["spec"]
    assert (spec["architecture"], spec["domain"]["machine"]["type"], spec["domain"]["resources"]) == ("amd64", "q35", {})
    assert spec["domain"]["firmware"]["uuid"] and spec["domain"]["firmware"]["serial"]
    assert at(made, "spec", "template", "metadata", "annotations", "kubevirt.io/pci-topology-version") == "v3"
    assert made["metadata"]["generation"] == 1


def test_fields_are_dropped_types_are_refused_and_versions_are_held(empty: Fleet) -> None:
    odd = machine("odd", empty.namespace, gpu_spec(domain={"devices": {"gpuz": []}}), strategy="Halted")
    strict = empty.refusal(odd, fieldValidation="Strict")
    assert strict is not None and strict.code == 400
    assert str(strict).endswith('strict decoding error: unknown field "spec.template.spec.domain.devices.gpuz"')
    assert empty.refusal(odd) is None
    again = empty.refusal(odd)
    assert again is not None and (again.code, again.reason) == (409, "AlreadyExists")
    wrong = empty.refusal(machine("w", empty.namespace, gpu_spec(domain={"cpu": {"cores": "four"}})))
    assert wrong is not None and wrong.code == 422
    says = 'spec.template.spec.domain.cpu.cores in body must be of type integer: "string"'
    assert str(wrong) == f'admission webhook "virtualmachines-mutator.kubevirt.io" denied the request: {says}'
    rehearsed = empty.refusal(machine("dry", empty.namespace, gpu_spec("nvidia.com/NOPE")), dryRun="All")
    assert rehearsed is None
    assert empty.kubevirt.vm(empty.namespace, "dry") is None


def test_feature_gates_are_asked_for_host_devices_and_claims(empty: Fleet) -> None:
    device = gpu_spec(domain={"devices": {"gpus": [], "hostDevices": [{"name": "h", "deviceName": H100}]}})
    assert empty.refusal(machine("on", empty.namespace, device, strategy="Halted")) is None
    empty.kubevirt.feature_gates(disabled=("GPUsWithDRA",))
    refused = empty.refusal(machine("off", empty.namespace, device, strategy="Halted"))
    assert str(refused) == f"{BY}Host Devices feature gate is not enabled in kubevirt-config"
    dra = empty.refusal(machine("dra", empty.namespace, gpus(DRA, **CLAIM)))
    assert str(dra) == f"{BY}vmi.spec.domain.devices.gpus contains DRA enabled GPUs but feature gate is not enabled"


def test_an_instance_is_kubevirts_to_change(fleet: Fleet) -> None:
    fleet.create("v")
    fleet.until_ready("v")
    path = INSTANCES.path(fleet.namespace, "v")

    def refusal(body: Document) -> str:
        with pytest.raises(Refused) as refused:
            fleet.client.patch(path, body)
        assert refused.value.code == 422
        return str(refused.value).partition("denied the request: ")[2]

    assert refusal({"spec": {"domain": {"cpu": {"cores": 8}}}}) == "update of VMI object is restricted"
    reserved = "modification of the following reserved kubevirt.io/ labels on a VMI object is prohibited"
    assert refusal({"metadata": {"labels": {"kubevirt.io/nodeName": "x"}}}) == reserved
    fleet.client.patch(path, {"metadata": {"labels": {"mine": "yes"}}})


def test_an_instancetype_is_expanded_in_the_instance_only(fleet: Fleet) -> None:
    kind = {"apiVersion": "instancetype.kubevirt.io/v1beta1", "kind": "VirtualMachineInstancetype"}
    spec = {"cpu": {"guest": 4}, "memory": {"guest": "16Gi"}, "gpus": [{"name": "g", "deviceName": H100}]}
    named = {"kind": "VirtualMachineInstancetype", "name": "gpu1"}
    bare = merged(gpu_spec(), {"domain": {"cpu": None, "memory": None, "devices": {"gpus": None}}})
    conflict = fleet.refusal(machine("c", fleet.namespace, merged(bare, {"domain": {"cpu": {"cores": 2}}}), instancetype=named))
    assert str(conflict) == f"{BY}VM field(s) {SPEC}.domain.cpu.cores conflicts with selected instance type"
    fleet.client.create(MACHINES, machine("v", fleet.namespace, bare, instancetype=named))
    missing = 'virtualmachineinstancetypes.instancetype.kubevirt.io "gpu1" not found'
    fleet.kubevirt.eventually(
        lambda: fleet.condition("v", "Failure") == ("True", "FailedFindInstancetype", missing), what="it says so"
    )
    base = f"/apis/instancetype.kubevirt.io/v1beta1/namespaces/{fleet.namespace}/virtualmachineinstancetypes"
    fleet.client.request("POST", base, kind | {"metadata": {"name": "gpu1"}, "spec": spec})
    fleet.until_ready("v")
    domain = (fleet.instance("v") or {})["spec"]["domain"]
    assert (domain["memory"]["guest"], domain["devices"]["gpus"][0]["deviceName"]) == ("16Gi", H100)
    reference = fleet.status("v")["instancetypeRef"]["controllerRevisionRef"]["name"]
    assert reference.startswith("v-gpu1-v1beta1-")
    assert "gpus" not in (fleet.kubevirt.vm(fleet.namespace, "v") or {})["spec"]["template"]["spec"]["domain"]["devices"]
