"""Starts of GPU VMs, as sections 2 to 7 of what was observed have them: in order, unschedulable, never, at once."""

from __future__ import annotations

import base64

from tests.kubernetes.kubevirt.fields import at, finalizers_of, uid_of
from tests.kubernetes.kubevirt.fleet import Fleet
from tests.kubernetes.kubevirt.resources import FINALIZER_CONTROLLER, FINALIZER_FOREGROUND, REVISIONS, SECRETS
from tests.kubernetes.kubevirt.specs import H100, H200

BY_OTHERS = ("Pod made", "Pod bound", "Pod Running")
"""virt-controller and the others write side by side: a pod may come before or after what the VM says of its instance."""

NOT_READY = ("False", "GuestNotRunning", "Guest VM is not reported as running")


def test_a_gpu_vm_starts_in_order(fleet: Fleet) -> None:
    made = fleet.create("g1")
    fleet.until_ready("g1")
    fleet.until_told("g1", "VM Running")
    assert made["metadata"]["generation"] == 1
    assert [line for line in fleet.story("g1") if line not in BY_OTHERS] == [
        "VM Stopped",
        "VMI Pending",
        "VM Starting",
        "VMI Scheduling",
        "VMI Scheduled",
        "VMI Running",
        "VM Running",
    ]
    assert [line for line in fleet.story("g1") if line.startswith("Pod")] == ["Pod made", "Pod bound", "Pod Running"]
    assert fleet.statuses("g1") == ["Stopped", "Starting", "Running"]
    status = fleet.status("g1")
    assert (status["created"], status["runStrategy"], status["observedGeneration"]) == (True, "Always", 1)
    assert fleet.condition("g1", "Ready") == ("True", "", "")
    blocker = "VMI specifies a GPU but feature gate VGPULiveMigration is not enabled"
    assert fleet.condition("g1", "LiveMigratable") == ("False", "HostDeviceNotLiveMigratable", blocker)
    fleet.kubevirt.eventually(lambda: fleet.condition("g1", "AgentConnected") == ("True", "", ""), what="the agent answers")
    assert at(fleet.instance("g1"), "status", "interfaces")[0]["ipAddress"] == fleet.guest("g1").address


def test_a_started_vm_is_three_objects_with_owners_and_finalizers(fleet: Fleet) -> None:
    fleet.create("g1")
    fleet.until_ready("g1")
    machine, instance, pod = fleet.kubevirt.vm(fleet.namespace, "g1") or {}, fleet.instance("g1") or {}, fleet.pod("g1")
    assert finalizers_of(machine) == [FINALIZER_CONTROLLER]
    assert set(finalizers_of(instance)) == {FINALIZER_CONTROLLER, FINALIZER_FOREGROUND}
    owner = instance["metadata"]["ownerReferences"][0]
    assert (owner["uid"], owner["controller"]) == (uid_of(machine), True)
    assert pod["metadata"]["ownerReferences"][0]["uid"] == uid_of(instance)
    name = f"revision-start-vm-{uid_of(machine)}-1"
    assert instance["status"]["virtualMachineRevisionName"] == name
    assert fleet.client.get(REVISIONS.path(fleet.namespace, name)) is not None
    labels = pod["metadata"]["labels"]
    assert (labels["kubevirt.io/created-by"], labels["vm.kubevirt.io/name"], labels["kubevirt.io/nodeName"]) == (
        uid_of(instance),
        "g1",
        "gpu-1",
    )
    asked = pod["spec"]["containers"][0]["resources"]["requests"]
    assert (asked[H100], asked["memory"], asked["cpu"]) == ("1", "17720Mi", "400m")
    assert pod["spec"]["terminationGracePeriodSeconds"] == 60
    created = f"Created virtual machine pod {pod['metadata']['name']}"
    assert ("Normal", "SuccessfulCreate", created) in fleet.events("VirtualMachineInstance")
    started = "Started the virtual machine by creating the new virtual machine instance g1"
    assert fleet.events("VirtualMachine") == [("Normal", "SuccessfulCreate", started)]


def test_no_free_gpu_is_the_schedulers_word_until_one_is_freed(fleet: Fleet) -> None:
    fleet.kubevirt.permit(H200, "10DE:2335")
    fleet.create("first", *[H100] * 4)
    fleet.until_ready("first")
    fleet.create("second")
    fleet.until("second", "ErrorUnschedulable")
    said = fleet.condition("second", "PodScheduled")
    assert said is not None and said[:2] == ("False", "Unschedulable")
    assert said[2].startswith(f"0/1 nodes are available: 1 Insufficient {H100}. no new claims to deallocate, preemption: ")
    assert fleet.condition("second", "Ready") == NOT_READY
    assert fleet.phase("second") == "Scheduling"
    fleet.delete("first")
    fleet.until_ready("second")
    assert fleet.statuses("second") == ["Stopped", "Starting", "ErrorUnschedulable", "Starting", "Running"]
    assert fleet.condition("second", "PodScheduled") is None
    fleet.create("third", H200)
    fleet.until("third", "ErrorUnschedulable")
    assert f"1 Insufficient {H200}" in str(fleet.condition("third", "PodScheduled"))


def test_a_wrong_device_name_is_never_told_but_by_a_condition(fleet: Fleet) -> None:
    fleet.create("v", "nvidia.com/NOPE")
    text = "failed to render launch manifest: GPU nvidia.com/NOPE is not permitted in permittedHostDevices configuration"
    fleet.kubevirt.eventually(
        lambda: fleet.condition("v", "Synchronized") == ("False", "FailedCreate", text), what="it says so"
    )
    assert (fleet.printed("v"), fleet.phase("v")) == ("Starting", "Pending")
    assert fleet.events("VirtualMachineInstance") == []
    fleet.kubevirt.permit("nvidia.com/NOPE", "10DE:FFFF")
    fleet.until("v", "ErrorUnschedulable")
    fleet.delete("v")
    fleet.until_gone("v")


def test_no_memory_is_found_when_the_instance_is_made(fleet: Fleet) -> None:
    fleet.create("v", domain={"memory": None})
    fleet.kubevirt.eventually(lambda: fleet.condition("v", "Failure"), what="it says so")
    failure = fleet.condition("v", "Failure")
    denied = 'admission webhook "virtualmachineinstances-create-validator.kubevirt.io" denied the request: no memory requested'
    assert failure is not None and failure[:2] == ("True", "FailedCreate")
    assert failure[2].startswith(f"Failure while starting VMI: {denied}")
    assert fleet.printed("v") == "Stopped"
    assert [each[:2] for each in fleet.events("VirtualMachine")] == [("Warning", "FailedCreate")]


def test_a_missing_secret_is_seen_by_the_kubelet_only(fleet: Fleet) -> None:
    cloud_init = {"name": "seed", "cloudInitNoCloud": {"secretRef": {"name": "s1"}}}
    root = {"name": "root", "containerDisk": {"image": "ubuntu:24.04"}}
    fleet.create("v", volumes=[root, cloud_init])
    fleet.kubevirt.eventually(lambda: any(each[1] == "FailedMount" for each in fleet.events("Pod")), what="the kubelet says so")
    fleet.kubevirt.eventually(lambda: fleet.condition("v", "Ready") == NOT_READY, what="the guest does not run")
    assert (fleet.printed("v"), fleet.phase("v")) == ("Starting", "Scheduling")
    assert fleet.condition("v", "Synchronized") is None
    data = {"userdata": base64.b64encode(b"#cloud-config\n").decode()}
    fleet.client.create(SECRETS, {"metadata": {"name": "s1", "namespace": fleet.namespace}, "data": data})
    fleet.until_ready("v")


def test_a_missing_volume_has_a_status_of_its_own(fleet: Fleet) -> None:
    fleet.create("v", volumes=[{"name": "root", "persistentVolumeClaim": {"claimName": "nope"}}])
    fleet.until("v", "ErrorPvcNotFound")
    text = f"PVC {fleet.namespace}/nope does not exist, waiting for it to appear"
    assert fleet.condition("v", "Synchronized") == ("False", "FailedPvcNotFound", text)
    assert fleet.condition("v", "PodScheduled") == ("False", "Unschedulable", text)
    assert fleet.events("VirtualMachineInstance") == [("Normal", "FailedPvcNotFound", text)]


def test_data_volumes_need_what_is_not_installed(fleet: Fleet) -> None:
    template = {"metadata": {"name": "dv1"}, "spec": {"source": {"blank": {}}, "storage": {}}}
    made = fleet.create("v", strategy="Halted")
    fleet.patch("v", {"runStrategy": "Always", "dataVolumeTemplates": [template]})
    assert made["spec"]["runStrategy"] == "Halted"
    fleet.kubevirt.eventually(lambda: fleet.condition("v", "Failure"), what="it says so")
    text = "the server could not find the requested resource (post datavolumes.cdi.kubevirt.io)"
    failed = f"Error encountered while creating DataVolumes: failed to create DataVolume: {text}"
    assert fleet.condition("v", "Failure") == ("True", "FailedCreate", failed)
    assert fleet.printed("v") == "Stopped"


def test_an_image_that_cannot_be_pulled_is_a_status(fleet: Fleet) -> None:
    fleet.guest("v").refuse_image("ErrImagePull", "not found")
    fleet.create("v")
    fleet.until("v", "ErrImagePull")
    assert fleet.condition("v", "Synchronized") == ("False", "ErrImagePull", "not found")
    fleet.guest("v").refuse_image("ImagePullBackOff", "Back-off pulling image")
    fleet.until("v", "ImagePullBackOff")
    fleet.guest("v").allow_image()
    fleet.until_ready("v")


def test_twenty_vms_share_four_gpus_and_nobody_gives_up(fleet: Fleet) -> None:
    names = [f"v{number}" for number in range(20)]
    for name in names:
        fleet.create(name)
    fleet.kubevirt.eventually(lambda: _ready(fleet, names) == 4, what="four are ready")
    fleet.kubevirt.eventually(
        lambda: sum(fleet.printed(name) == "ErrorUnschedulable" for name in names) == 16, what="the others wait"
    )
    nodes = {fleet.node(name) for name in names if fleet.status(name).get("ready")}
    assert nodes == {"gpu-1"}
    fleet.kubevirt.add_node("gpu-2", gpus={H100: 16})
    fleet.kubevirt.eventually(lambda: _ready(fleet, names) == 20, what="all are ready")


def test_a_paused_controller_leaves_old_statuses(fleet: Fleet) -> None:
    fleet.create("v")
    fleet.until_ready("v")
    with fleet.kubevirt.controller_paused():
        fleet.guest("v").crash()
        fleet.kubevirt.eventually(lambda: fleet.phase("v") == "Failed", what="the node side says so")
        fleet.create("later")
        assert fleet.status("later") == {}
        assert fleet.printed("v") == "Running"
    fleet.until("later", "Running")
    fleet.until_ready("v")


def _ready(fleet: Fleet, names: list[str]) -> int:
    return sum(fleet.status(name).get("ready") is True for name in names)
