"""Why a machine does not get on: every failure that was recorded, where it was recorded, with the text that it had."""

from __future__ import annotations

import pytest

from provisioner.drivers.kubevirt.reading import machine_of
from provisioner.drivers.kubevirt.sight import Sight
from provisioner.drivers.kubevirt.troubles import needs_events, needs_permitted
from provisioner.drivers.machine_cluster import Trouble
from tests.unit.kubevirt_objects import NOT_RUNNING, READY, SILENT, condition, event, instance, machine, node, pod, sight

H200 = "nvidia.com/GH100_H200_SXM_141GB"
UNSCHEDULABLE = (
    f"0/3 nodes are available: 3 Insufficient {H200}. no new claims to deallocate, preemption: 0/3 nodes are available: "
    "1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
)
NO_CLAIMS = (
    "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 cannot allocate all claims. "
    "still not schedulable, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
)
UNBOUND = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
FORBIDDEN = "failed to render launch manifest: GPU nvidia.com/NOPE is not permitted in permittedHostDevices configuration"
NO_MEMORY = (
    'Failure while starting VMI: admission webhook "virtualmachineinstances-create-validator.kubevirt.io" denied the request: '
    "no memory requested, at least one of 'spec.domain.memory.guest' must be set"
)
NO_CDI = (
    "Error encountered while creating DataVolumes: failed to create DataVolume: the server could not find the requested "
    "resource (post datavolumes.cdi.kubevirt.io)"
)
QUOTA = 'failed to create virtual machine pod: pods "virt-launcher-g1-x" is forbidden: exceeded quota: gpus, requested: x=1'
SECURITY = (
    'failed to create virtual machine pod: pods "virt-launcher-g1-x" is forbidden: violates PodSecurity "restricted:latest"'
)
NO_IMAGE = (
    'failed to create virtual machine pod: Pod "virt-launcher-g1-x" is invalid: [spec.volumes[2].image.reference: Required]'
)
NO_PVC = "PVC e/nope does not exist, waiting for it to appear"
NO_SECRET = 'MountVolume.SetUp failed for volume "seed-udata" : secret "g1-seed" not found'
NO_TEMPLATE = 'PodResourceClaim c1: resource claim template "nosuch": resourceclaimtemplate.resource.k8s.io "nosuch" not found'
PULL = 'failed to pull and unpack image "registry/none:1": not found'


def not_scheduled(message: str) -> dict[str, object]:
    return condition("PodScheduled", "False", "Unschedulable", message)


def not_synchronized(reason: str, message: str) -> dict[str, object]:
    return condition("Synchronized", "False", reason, message)


def failure(message: str) -> dict[str, object]:
    return machine(status={"printableStatus": "Stopped", "conditions": [condition("Failure", "True", "FailedCreate", message)]})


def waits(reason: str, message: str) -> dict[str, object]:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


SCHEDULING = instance("Scheduling", NOT_RUNNING)
ON_NODE = {"pod": pod(node="gpu-2"), "node": node("True")}
TROUBLES = [
    (
        "no free GPU",
        sight(
            machine(), instance("Scheduling", NOT_RUNNING, not_scheduled(UNSCHEDULABLE)), pod=pod(not_scheduled(UNSCHEDULABLE))
        ),
        ("Unschedulable", f"0/3 nodes are available: 3 Insufficient {H200}.", False),
    ),
    (
        "no free GPU, told on the pod first",
        sight(machine(), SCHEDULING, pod=pod(not_scheduled(UNSCHEDULABLE))),
        ("Unschedulable", f"0/3 nodes are available: 3 Insufficient {H200}.", False),
    ),
    (
        "no free device to claim",
        sight(machine(), SCHEDULING, pod=pod(not_scheduled(NO_CLAIMS))),
        ("Unschedulable", "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 cannot allocate all claims.", False),
    ),
    (
        "a device that is not permitted",
        sight(machine(), instance("Pending", not_synchronized("FailedCreate", FORBIDDEN)), permitted=(H200,)),
        ("NotPermitted", f"{FORBIDDEN}; permitted: {H200}", True),
    ),
    (
        "refused when its instance was made",
        sight(failure(NO_MEMORY)),
        ("Refused", NO_MEMORY, True),
    ),
    (
        "no CDI",
        sight(failure(NO_CDI)),
        ("DiskMissing", f"the cluster has no CDI, which imports disks: {NO_CDI}", True),
    ),
    (
        "a quota on pods",
        sight(machine(), instance("Pending", not_synchronized("FailedCreate", QUOTA))),
        ("QuotaExceeded", QUOTA, False),
    ),
    (
        "a namespace that admits no launcher",
        sight(machine(), instance("Pending", not_synchronized("FailedCreate", SECURITY))),
        ("Refused", SECURITY, True),
    ),
    (
        "an empty image",
        sight(machine(), instance("Pending", not_synchronized("FailedCreate", NO_IMAGE))),
        ("Refused", NO_IMAGE, True),
    ),
    (
        "an image that is not there",
        sight(machine(), instance("Scheduling", not_synchronized("ErrImagePull", PULL)), **ON_NODE),
        ("ImageNotPulled", PULL, False),
    ),
    (
        "the same, between two tries",
        sight(machine(), instance("Scheduling", not_synchronized("ImagePullBackOff", PULL)), **ON_NODE),
        ("ImageNotPulled", PULL, False),
    ),
    (
        "the same, told by the kubelet only yet",
        sight(
            machine(),
            SCHEDULING,
            pod=pod(node="gpu-2", initContainerStatuses=[waits("ErrImagePull", PULL)]),
            node=node("True"),
        ),
        ("ImageNotPulled", PULL, False),
    ),
    (
        "an image whose name is none",
        sight(
            machine(),
            SCHEDULING,
            pod=pod(node="gpu-2", containerStatuses=[waits("InvalidImageName", "bad")]),
            node=node("True"),
        ),
        ("ImageNotPulled", "bad", True),
    ),
    (
        "a claim that does not exist",
        sight(machine(), instance("Pending", not_scheduled(NO_PVC), not_synchronized("FailedPvcNotFound", NO_PVC))),
        ("DiskMissing", NO_PVC, False),
    ),
    (
        "the claim appeared, unbound, and the instance keeps the old words",
        sight(machine(), instance("Scheduling", not_scheduled(NO_PVC)), pod=pod(not_scheduled(UNBOUND))),
        ("DiskMissing", UNBOUND, False),
    ),
    (
        "a missing Secret: an event of the kubelet and nothing else",
        sight(
            machine(), SCHEDULING, events=(event("FailedMount", NO_SECRET), event("Scheduled", "", kind="Normal")), **ON_NODE
        ),
        ("SecretMissing", NO_SECRET, False),
    ),
    (
        "a volume that cannot be mounted",
        sight(machine(), SCHEDULING, events=(event("FailedMount", "timed out waiting for the condition"),), **ON_NODE),
        ("DiskMissing", "timed out waiting for the condition", False),
    ),
    (
        "a missing claim template: an event of the pod and nothing else",
        sight(machine(), SCHEDULING, pod=pod(), events=(event("FailedResourceClaimCreation", NO_TEMPLATE),)),
        ("ClaimMissing", NO_TEMPLATE, True),
    ),
    (
        "an older event that is over, and a newer one",
        sight(
            machine(),
            SCHEDULING,
            pod=pod(),
            events=(
                event("FailedResourceClaimCreation", NO_TEMPLATE),
                event("FailedScheduling", "0/1", at="2026-11-22T01:05:00Z"),
            ),
        ),
        ("Unschedulable", "0/1", False),
    ),
    (
        "tried again later",
        sight(
            machine(
                status={
                    "printableStatus": "CrashLoopBackOff",
                    "startFailure": {"consecutiveFailCount": 3, "retryAfterTimestamp": "2026-11-22T01:02:07Z"},
                }
            )
        ),
        ("BackOff", "it ended 3 times before its guest ran; tried again after 2026-11-22T01:02:07Z", False),
    ),
    (
        "a node that does not answer",
        sight(machine(), instance("Running", SILENT, nodeName="gpu-2"), node=node("Unknown")),
        (
            "NodeLost",
            "node gpu-2 does not answer since 2026-11-22T01:00:00Z; whether the machine runs there is not known",
            False,
        ),
    ),
    (
        "a node that was taken away",
        sight(machine(), instance("Running", SILENT, nodeName="gpu-2"), is_node_gone=True),
        ("NodeLost", "node gpu-2 is gone; whether the machine runs there is not known", False),
    ),
    (
        "failed with its node",
        sight(machine("Once"), instance("Failed", reason="NodeUnresponsive", nodeName="gpu-2")),
        ("Refused", "NodeUnresponsive", False),
    ),
    (
        "failed before it ran, and not tried again",
        sight(
            machine("Once", status={"printableStatus": "CrashLoopBackOff", "startFailure": {"consecutiveFailCount": 1}}),
            instance("Failed", nodeName="gpu-2"),
        ),
        ("Refused", "it ended before its guest ran", False),
    ),
    (
        "refused by the kubelet",
        sight(
            machine("Once"),
            instance("Failed"),
            pod=pod(node="gpu-2", phase="Failed", reason="UnexpectedAdmissionError", message="Allocate failed"),
        ),
        ("Refused", "UnexpectedAdmissionError: Allocate failed", False),
    ),
    (
        "an import that failed",
        sight(
            machine(status={"printableStatus": "DataVolumeError"}),
            volume={"status": {"conditions": [condition("Running", "False", "Error", "404 Not Found")]}},
        ),
        ("DiskMissing", "the import of its disk failed: 404 Not Found", False),
    ),
    (
        "words of a controller that nobody knows",
        sight(machine(), instance("Pending", not_synchronized("FailedCreate", "something new"))),
        ("Refused", "something new", False),
    ),
]


@pytest.mark.parametrize(("seen", "trouble"), [pytest.param(seen, trouble, id=name) for name, seen, trouble in TROUBLES])
def test_trouble(seen: Sight, trouble: tuple[str, str, bool]) -> None:
    found = machine_of(seen)
    assert found is not None
    assert found.trouble == Trouble(trouble[0], trouble[1], is_final=trouble[2])


WELL = [
    ("it runs, with words of an earlier wait on the machine", sight(
        machine(status={"conditions": [not_scheduled(UNSCHEDULABLE)]}), instance("Running", READY, nodeName="gpu-2"))),
    ("bound: the scheduler's words are old", sight(machine(), instance("Scheduling", not_scheduled(UNSCHEDULABLE)), **ON_NODE)),
    ("nobody has looked yet", sight(machine(), SCHEDULING, pod=pod())),
    ("it pulls its images", sight(
        machine(), SCHEDULING, pod=pod(node="gpu-2", containerStatuses=[waits("ContainerCreating", "")]), node=node("True"))),
    ("stopped, and it failed before", sight(machine("Halted", status={"startFailure": {"consecutiveFailCount": 1}}))),
    ("crashed after it ran", sight(machine("Once"), instance("Failed"))),
    ("powered off", sight(machine("Once"), instance("Succeeded"))),
    ("going, never run", sight(machine(going=True, status={"startFailure": {"consecutiveFailCount": 1}}))),
]  # fmt: skip


@pytest.mark.parametrize("seen", [pytest.param(seen, id=name) for name, seen in WELL])
def test_no_trouble(seen: Sight) -> None:
    found = machine_of(seen)
    assert found is not None
    assert found.trouble is None


def test_the_nearest_permitted_name_is_a_hint() -> None:
    text = FORBIDDEN.replace("nvidia.com/NOPE", "nvidia.com/GH100_H200_SXM_141")
    found = machine_of(sight(machine(), instance("Pending", not_synchronized("FailedCreate", text)), permitted=(H200, "a/b")))
    assert found is not None
    assert found.trouble is not None
    assert found.trouble.message == f"{text}; did you mean {H200}?"


def test_events_and_names_are_read_only_where_they_help() -> None:
    assert needs_events(sight(machine(), SCHEDULING, pod=pod(node="gpu-2")))
    assert not needs_events(sight(machine(), SCHEDULING, pod=pod(not_scheduled(UNSCHEDULABLE))))
    assert not needs_events(sight(machine(), instance("Running", READY), pod=pod(node="gpu-2")))
    assert needs_permitted(sight(machine(), instance("Pending", not_synchronized("FailedCreate", FORBIDDEN))))
    assert not needs_permitted(sight(machine(), SCHEDULING))


def test_texts_are_bounded() -> None:
    found = machine_of(sight(failure("x" * 5_000)))
    assert found is not None
    assert found.trouble is not None
    assert len(found.trouble.message) == 1_000
