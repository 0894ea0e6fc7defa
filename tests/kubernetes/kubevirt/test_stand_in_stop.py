"""Ends of GPU VMs, as sections 8, 10 and 11 of what was observed have them: strategies, stops, deletions, evictions."""

from __future__ import annotations

import pytest

from tests.kubernetes.kubevirt.fields import at
from tests.kubernetes.kubevirt.fleet import Fleet
from tests.kubernetes.kubevirt.resources import FINALIZER_FOREGROUND, MACHINES

TERMINATING = ("False", "PodTerminating", "virt-launcher pod is terminating")
NO_INSTANCE = ("False", "VMINotExists", "VMI does not exist")


def test_a_stop_ends_the_guest_first_and_drops_created_last(fleet: Fleet) -> None:
    fleet.create("v")
    fleet.until_ready("v")
    uid, pod = fleet.instance_uid("v"), fleet.pod("v")["metadata"]["name"]
    before = len(fleet.story("v"))
    fleet.patch("v", {"runStrategy": "Halted"})
    fleet.kubevirt.eventually(lambda: not fleet.status("v").get("created"), what="created is dropped")
    ends = [line for line in fleet.until_told("v", "VMI gone")[before:] if not line.startswith("VM ")]
    assert ends == ["VMI marked", "Pod marked", "VMI Succeeded", "Pod Succeeded", "Pod gone", "VMI gone"]
    assert fleet.statuses("v") == ["Stopped", "Starting", "Running", "Stopping", "Stopped"]
    assert fleet.condition("v", "Ready") == NO_INSTANCE
    said = {(kind, message) for _, kind, message in fleet.events("VirtualMachine")}
    assert ("SuccessfulDelete", f"Stopped the virtual machine by deleting the virtual machine instance {uid}") in said
    told = [each[1:] for each in fleet.events("VirtualMachineInstance")]
    assert ("SuccessfulDelete", f"Deleted virtual machine pod {pod}") in told
    assert told.index(("ShuttingDown", "Signaled Graceful Shutdown")) < told.index(
        ("Stopped", "The VirtualMachineInstance was shut down.")
    )
    fleet.patch("v", {"runStrategy": "Always"})
    fleet.until_ready("v", after=uid)


def test_a_deletion_goes_from_the_vm_down_and_back_and_holds_the_name(fleet: Fleet) -> None:
    document = fleet.create("v")
    fleet.until_ready("v")
    before = len(fleet.story("v"))
    fleet.delete("v")
    taken = fleet.refusal({key: document[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": "v"}})
    assert taken is not None and taken.code == 409
    assert str(taken) == 'object is being deleted: virtualmachines.kubevirt.io "v" already exists'
    fleet.until_gone("v")
    fleet.until_told("v", "VM gone")
    assert fleet.story("v")[before:] == [
        "VM marked",
        "VMI marked",
        *fleet.story("v")[before + 2 : before + 4],  # the pod's mark and the VM's status come side by side
        "VMI Succeeded",
        "Pod Succeeded",
        "Pod gone",
        "VMI gone",
        "VM gone",
    ]
    assert set(fleet.story("v")[before + 2 : before + 4]) == {"VM Terminating", "Pod marked"}


def test_an_unschedulable_vm_goes_at_once(fleet: Fleet) -> None:
    fleet.create("v", "nvidia.com/NONE")
    fleet.kubevirt.permit("nvidia.com/NONE", "10DE:FFFF")
    fleet.until("v", "ErrorUnschedulable")
    fleet.delete("v")
    fleet.until_gone("v")
    fleet.until_told("v", "VM gone")
    assert [line for line in fleet.story("v") if line.startswith("VMI ")][-3:] == ["VMI marked", "VMI Failed", "VMI gone"]


def test_a_guest_that_ignores_acpi_is_ended_after_its_grace(fleet: Fleet) -> None:
    fleet.guest("v").ignore_acpi()
    fleet.create("v", terminationGracePeriodSeconds=10)
    fleet.until_ready("v")
    assert fleet.pod("v")["spec"]["terminationGracePeriodSeconds"] == 40
    fleet.delete("v")
    fleet.until_gone("v")
    told = [each for each in fleet.events("VirtualMachineInstance") if each[1] in ("Deleted", "Stopped")]
    assert told == [
        ("Normal", "Deleted", "VirtualMachineInstance stopping"),
        ("Warning", "Stopped", "The VirtualMachineInstance crashed."),
    ]
    assert "VMI Failed" in fleet.story("v")


def test_an_orphaned_instance_lives_on(fleet: Fleet) -> None:
    fleet.create("v")
    fleet.until_ready("v")
    fleet.delete("v", propagationPolicy="Orphan")
    fleet.until_gone("v")
    assert fleet.phase("v") == "Running"
    assert not (fleet.instance("v") or {})["metadata"].get("ownerReferences")
    fleet.delete_instance("v")
    fleet.kubevirt.eventually(lambda: fleet.instance("v") is None, what="the instance is gone")


def test_a_crash_under_always_is_a_new_instance_at_once(fleet: Fleet) -> None:
    fleet.create("v")
    fleet.until_ready("v")
    uid = fleet.instance_uid("v")
    fleet.guest("v").crash()
    fleet.until_ready("v", after=uid)
    assert fleet.statuses("v") == ["Stopped", "Starting", "Running", "Stopped", "Starting", "Running"]
    assert "startFailure" not in fleet.status("v")


def test_what_fails_before_it_runs_waits(fleet: Fleet) -> None:
    fleet.guest("v").fail_before_running(2)
    fleet.create("v")
    fleet.until("v", "CrashLoopBackOff")
    first = fleet.status("v")["startFailure"]
    assert first["consecutiveFailCount"] == 1 and first["retryAfterTimestamp"] and first["lastFailedVMIUID"]
    fleet.until_ready("v")
    assert "startFailure" not in fleet.status("v")
    statuses = fleet.statuses("v")
    assert statuses.count("CrashLoopBackOff") >= 2 and statuses[-1] == "Running"


def test_a_power_off_is_answered_by_strategy(fleet: Fleet) -> None:
    for name, strategy in (("always", "Always"), ("rerun", "RerunOnFailure"), ("once", "Once")):
        fleet.create(name, strategy=strategy)
    uids = {}
    for name in ("always", "rerun", "once"):
        fleet.until_ready(name)
        uids[name] = fleet.instance_uid(name)
        fleet.guest(name).power_off()
    fleet.until_ready("always", after=uids["always"])
    fleet.kubevirt.eventually(lambda: fleet.instance("rerun") is None, what="its instance is removed")
    fleet.until("rerun", "Stopped")
    fleet.until("once", "Stopped")
    assert (fleet.phase("once"), fleet.status("once")["created"]) == ("Succeeded", True)
    assert at(fleet.pod("once"), "status", "phase") == "Succeeded"
    assert at(fleet.kubevirt.vm(fleet.namespace, "rerun"), "spec", "runStrategy") == "RerunOnFailure"


def test_manual_and_rerun_on_failure_run_by_requests(fleet: Fleet) -> None:
    fleet.create("v", strategy="Manual")
    fleet.until("v", "Stopped")
    path = MACHINES.path(fleet.namespace, "v", "status")
    fleet.client.patch(path, {"status": {"stateChangeRequests": [{"action": "Start"}]}})
    fleet.until_ready("v")
    assert "stateChangeRequests" not in fleet.status("v")
    uid = fleet.instance_uid("v")
    fleet.client.patch(path, {"status": {"stateChangeRequests": [{"action": "Stop", "uid": uid}, {"action": "Start"}]}})
    fleet.until_ready("v", after=uid)
    fleet.guest("v").crash()
    fleet.until("v", "Stopped")
    assert (fleet.phase("v"), fleet.status("v")["created"]) == ("Failed", True)


def test_a_change_that_needs_a_restart_says_so_until_it_is_taken_back(fleet: Fleet) -> None:
    fleet.create("v")
    fleet.until_ready("v")
    template = {"template": {"spec": {"domain": {"cpu": {"cores": 8}}}}}
    fleet.patch("v", template)
    text = "a non-live-updatable field was changed in the template spec"
    fleet.kubevirt.eventually(lambda: fleet.condition("v", "RestartRequired") == ("True", "", text), what="it says so")
    assert (fleet.status("v")["observedGeneration"], fleet.status("v")["desiredGeneration"]) == (1, 2)
    template["template"]["spec"]["domain"]["cpu"]["cores"] = 4
    fleet.patch("v", template)
    fleet.kubevirt.eventually(lambda: fleet.condition("v", "RestartRequired") is None, what="it is taken back")


def test_an_eviction_restarts_a_gpu_vm_without_stopping(fleet: Fleet) -> None:
    fleet.create("v")
    fleet.until_ready("v")
    uid = fleet.instance_uid("v")
    assert fleet.evict("v") is None
    fleet.until_ready("v", after=uid)
    assert fleet.statuses("v") == ["Stopped", "Starting", "Running", "Stopped", "Starting", "Running"]


def test_external_is_the_hook_for_a_drain_of_ones_own(fleet: Fleet) -> None:
    fleet.create("v", evictionStrategy="External")
    fleet.until_ready("v")
    said = (
        'admission webhook "virt-launcher-eviction-interceptor.kubevirt.io" denied the request: '
        f'Eviction triggered evacuation of VMI "{fleet.namespace}/v"'
    )
    rehearsed = fleet.evict("v", deleteOptions={"dryRun": ["All"]})
    assert rehearsed is not None and (rehearsed.code, str(rehearsed)) == (429, said)
    assert at(fleet.instance("v"), "status", "evacuationNodeName") is None
    refused = fleet.evict("v")
    assert refused is not None and (refused.code, refused.reason, str(refused)) == (429, "", said)
    requested = ("True", "EvictionRequested", "VMI is marked for eviction")
    fleet.kubevirt.eventually(lambda: fleet.condition("v", "EvictionRequested") == requested, what="the VM says so")
    assert at(fleet.instance("v"), "status", "evacuationNodeName") == "gpu-1"
    assert fleet.printed("v") == "Running"


def test_live_migrate_makes_a_drain_wait_for_ever(fleet: Fleet) -> None:
    fleet.create("lm", evictionStrategy="LiveMigrate")
    fleet.until_ready("lm")
    refused = fleet.evict("lm")
    assert refused is not None and refused.code == 429
    assert str(refused).endswith("VMI lm is configured with an eviction strategy but is not live-migratable")
    assert at(fleet.instance("lm"), "status", "evacuationNodeName") is None


def test_a_pod_that_is_taken_away_is_an_instance_that_failed(fleet: Fleet) -> None:
    fleet.create("v")
    fleet.until_ready("v")
    uid = fleet.instance_uid("v")
    fleet.delete_pod("v", gracePeriodSeconds=0)
    fleet.until_ready("v", after=uid)
    assert "VMI Failed" in fleet.story("v") and "VMI Succeeded" not in fleet.story("v")
    uid = fleet.instance_uid("v")
    fleet.delete_pod("v")
    fleet.until_ready("v", after=uid)
    assert "VMI Succeeded" in fleet.story("v")


def test_an_instance_that_is_deleted_by_hand_comes_again(fleet: Fleet) -> None:
    fleet.create("v")
    fleet.until_ready("v")
    uid = fleet.instance_uid("v")
    fleet.delete_instance("v")
    fleet.kubevirt.eventually(lambda: fleet.condition("v", "Ready") == TERMINATING, what="its pod terminates")
    assert FINALIZER_FOREGROUND in (fleet.instance("v") or {})["metadata"]["finalizers"]
    fleet.until_ready("v", after=uid)
    assert fleet.statuses("v")[2:] == ["Running", "Stopping", "Stopped", "Starting", "Running"]


@pytest.mark.parametrize("running", [True, False])
def test_running_is_always_or_halted(fleet: Fleet, running: bool) -> None:
    fleet.create("v", strategy="Halted" if running else "Always")
    fleet.patch("v", {"runStrategy": None, "running": running})
    word = "Always" if running else "Halted"
    fleet.kubevirt.eventually(lambda: fleet.status("v").get("runStrategy") == word, what=f"it says {word}")
    fleet.until("v", "Running" if running else "Stopped")
