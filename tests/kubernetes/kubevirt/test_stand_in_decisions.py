"""The tables of the observed KubeVirt that need no server: what is decided, and by which words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.kubernetes.kubevirt import back_off, subresources
from tests.kubernetes.kubevirt.conditions import condition
from tests.kubernetes.kubevirt.eviction_rules import judge
from tests.kubernetes.kubevirt.fields import Document, at
from tests.kubernetes.kubevirt.overhead import compute_resources, overhead_bytes
from tests.kubernetes.kubevirt.printable_status import Seen, printable_status
from tests.kubernetes.kubevirt.restart_required import MEMORY, OTHER, SOCKETS_UP, live_changes, restart_required
from tests.kubernetes.kubevirt.run_strategy import Action, decide, requests_left
from tests.kubernetes.kubevirt.specs import H100, gpu_spec, merged

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def machine(strategy: str = "Always", *, requests: tuple[Document, ...] = (), **status: Any) -> Document:
    held = status | ({"stateChangeRequests": list(requests)} if requests else {})
    return {"metadata": {"name": "v", "uid": "1", "generation": 1}, "spec": {"runStrategy": strategy}, "status": held}


def instance(
    phase: str, *conditions: Document, ran: bool = False, deleting: bool = False, uid: str = "i1", **spec: Any
) -> Document:
    metadata: Document = {"name": "v", "namespace": "n", "uid": uid}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    phases = [{"phase": "Running"}] if ran else []
    status = {"phase": phase, "conditions": list(conditions), "phaseTransitionTimestamps": phases}
    return {"metadata": metadata, "spec": spec, "status": status}


DELETED = {"metadata": {"name": "v", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}}
NO_VOLUME = condition("Synchronized", False, "FailedPvcNotFound")
UNSCHEDULABLE = condition("PodScheduled", False, "Unschedulable", "0/3 nodes")

STATUSES = (
    ("Terminating", Seen(DELETED, instance("Running"))),
    ("Stopping", Seen(machine(), instance("Running", deleting=True))),
    ("Stopping", Seen(machine(), instance("Running"), stop_expected=True)),
    ("Paused", Seen(machine(), instance("Running", condition("Paused", True)))),
    ("Running", Seen(machine(), instance("Running"))),
    (
        "ErrorPvcNotFound",
        Seen(machine(), instance("Pending", condition("Synchronized", False, "FailedPvcNotFound"), UNSCHEDULABLE)),
    ),
    ("ErrorUnschedulable", Seen(machine(), instance("Scheduling", UNSCHEDULABLE))),
    ("ErrImagePull", Seen(machine(), instance("Scheduling", condition("Synchronized", False, "ErrImagePull")))),
    ("ImagePullBackOff", Seen(machine(), instance("Scheduling", condition("Synchronized", False, "ImagePullBackOff")))),
    ("Starting", Seen(machine(), None, start_expected=True)),
    ("Starting", Seen(machine(), instance("Pending", condition("Synchronized", False, "FailedCreate")))),
    ("Starting", Seen(machine(), instance("Scheduled"))),
    ("CrashLoopBackOff", Seen(machine(), None, start_failure=True)),
    ("CrashLoopBackOff", Seen(machine("Once"), instance("Failed"), "Once", start_failure=True)),
    ("Stopped", Seen(machine("Manual"), instance("Failed"), "Manual", start_failure=True)),
    ("Stopped", Seen(machine(), instance("Succeeded"))),
    ("Stopped", Seen(machine(), None)),
    ("Unknown", Seen(machine(), instance("Unknown"))),
)


@pytest.mark.parametrize(("word", "seen"), STATUSES, ids=lambda value: value if isinstance(value, str) else "")
def test_the_first_row_that_holds_is_the_printable_status(word: str, seen: Seen) -> None:
    assert printable_status(seen) == word


START = {"action": "Start"}
STOP = {"action": "Stop", "uid": "i1"}
WAITS = {"consecutiveFailCount": 1, "retryAfterTimestamp": "2026-01-01T00:00:12Z"}

DECISIONS: tuple[tuple[str, Document, Document | None, Action, bool], ...] = (
    ("Always starts", machine("Always"), None, Action.START, False),
    ("Always waits after an early failure", machine("Always", startFailure=WAITS), None, Action.NOTHING, False),
    ("Always leaves what runs", machine("Always"), instance("Running"), Action.NOTHING, False),
    ("Always replaces what ended", machine("Always"), instance("Succeeded"), Action.STOP, False),
    ("Always obeys a restart", machine("Always", requests=(STOP, START)), instance("Running"), Action.STOP, False),
    (
        "a request for another instance is nothing",
        machine("Always", requests=(STOP,)),
        instance("Running", uid="i2"),
        Action.NOTHING,
        False,
    ),
    ("Halted starts nothing", machine("Halted"), None, Action.NOTHING, False),
    ("Halted stops", machine("Halted"), instance("Running"), Action.STOP, False),
    ("RerunOnFailure starts when it is new", machine("RerunOnFailure"), None, Action.START, False),
    ("RerunOnFailure stays stopped", machine("RerunOnFailure", runStrategy="RerunOnFailure"), None, Action.NOTHING, False),
    ("RerunOnFailure removes what powered off", machine("RerunOnFailure"), instance("Succeeded"), Action.STOP, False),
    ("RerunOnFailure starts again what crashed", machine("RerunOnFailure"), instance("Failed"), Action.STOP, True),
    ("Manual waits to be asked", machine("Manual"), None, Action.NOTHING, False),
    ("Manual starts when asked", machine("Manual", requests=(START,)), None, Action.START, False),
    ("Manual leaves what ended", machine("Manual"), instance("Failed"), Action.NOTHING, False),
    ("Manual stops when asked", machine("Manual", requests=(STOP,)), instance("Running"), Action.STOP, False),
    ("Once starts", machine("Once"), None, Action.START, False),
    ("Once starts again what was deleted", machine("Once", runStrategy="Once"), None, Action.START, False),
    ("Once leaves what ended", machine("Once"), instance("Succeeded"), Action.NOTHING, False),
    ("nobody touches what is going", machine("Always"), instance("Succeeded", deleting=True), Action.NOTHING, False),
)


@pytest.mark.parametrize(("held", "found", "action", "asks"), [row[1:] for row in DECISIONS], ids=[row[0] for row in DECISIONS])
def test_a_run_strategy_decides(held: Document, found: Document | None, action: Action, asks: bool) -> None:
    decision = decide(held, found, now=NOW)
    assert (decision.action, decision.asks_to_start) == (action, asks)


def test_requests_go_when_they_are_done() -> None:
    restarted = machine(requests=(STOP, START))
    assert requests_left(restarted, instance("Running")) == [STOP, START]
    assert requests_left(restarted, None) == [START]
    assert requests_left(machine(requests=(START,)), instance("Pending", uid="i2")) == []


def test_the_wait_grows_with_the_square_and_ends_at_300_seconds() -> None:
    assert [back_off.delay_s(n, spread=0) for n in (1, 2, 3, 4, 5, 6)] == [10, 40, 90, 160, 250, 300]
    assert [back_off.delay_s(n, spread=1) for n in (1, 2, 3, 4, 5)] == [15, 60, 135, 240, 300]


def test_only_what_never_ran_is_counted_and_each_once() -> None:
    def count(before: Document | None, found: Document | None, strategy: str = "Always") -> Document | None:
        return back_off.start_failure(before, found, strategy=strategy, spread=0, scale=1)

    first = count(None, instance("Failed"))
    assert first is not None and first["consecutiveFailCount"] == 1
    assert count(first, instance("Failed")) == first
    second = count(first, instance("Failed", uid="i2"))
    assert second is not None and (second["consecutiveFailCount"], second["lastFailedVMIUID"]) == (2, "i2")
    assert count(second, instance("Scheduling", uid="i3")) == second
    assert count(second, instance("Running", uid="i3")) is None
    assert count(second, instance("Failed", ran=True, uid="i3")) is None
    assert count(second, None, "Manual") is None and count(second, None, "Halted") is None


MIB = 1024**2
DEDICATED = {"dedicatedCpuPlacement": True}
OVERHEADS: tuple[tuple[str, Document, int, str, str], ...] = (
    ("no GPU", gpu_spec(), 312, "16696Mi", "400m"),
    ("one GPU", gpu_spec(H100), 1336, "17720Mi", "400m"),
    ("eight GPUs", gpu_spec(*[H100] * 8), 1336, "17720Mi", "400m"),
    ("1000Gi", gpu_spec(H100, domain={"memory": {"guest": "1000Gi"}}), 1336, "1025336Mi", "400m"),
    ("1 vCPU", gpu_spec(H100, domain={"cpu": {"cores": 1}}), 1312, "17696Mi", "100m"),
    ("16 vCPU", gpu_spec(H100, domain={"cpu": {"sockets": 2, "threads": 2}}), 1432, "17816Mi", "1600m"),
    ("128 vCPU", gpu_spec(H100, domain={"cpu": {"cores": 128}}), 2328, "18712Mi", "12800m"),
    ("no graphics", gpu_spec(H100, domain={"devices": {"autoattachGraphicsDevice": False}}), 1304, "17688Mi", "400m"),
    ("requests", gpu_spec(H100, domain={"resources": {"requests": {"memory": "8Gi", "cpu": "2"}}}), 1352, "9544Mi", "2"),
    ("hugepages", gpu_spec(H100, domain={"memory": {"hugepages": {"pageSize": "1Gi"}}}), 1336, "1336Mi", "400m"),
    ("dedicated", gpu_spec(H100, domain={"cpu": DEDICATED}), 1436, "17820Mi", "4"),
    ("emulator thread", gpu_spec(H100, domain={"cpu": DEDICATED | {"isolateEmulatorThread": True}}), 1436, "17820Mi", "5"),
    ("only in limits", gpu_spec(domain={"resources": {"limits": {H100: "1"}}}), 312, "16696Mi", "400m"),
    ("also in limits", gpu_spec(H100, domain={"resources": {"limits": {H100: "1"}}}), 1336, "17720Mi", "400m"),
)


@pytest.mark.parametrize(
    ("spec", "overhead", "memory", "cpu"), [row[1:] for row in OVERHEADS], ids=[row[0] for row in OVERHEADS]
)
def test_a_pod_asks_for_the_guest_and_what_it_needs_beside(spec: Document, overhead: int, memory: str, cpu: str) -> None:
    asked = compute_resources(spec).requests
    assert (overhead_bytes(spec), asked["memory"], asked["cpu"]) == (overhead * MIB, memory, cpu)


def test_devices_of_one_name_are_counted_together() -> None:
    asked = compute_resources(gpu_spec(H100, H100, "nvidia.com/A"))
    assert (asked.requests[H100], asked.limits[H100], asked.limits["nvidia.com/A"]) == ("2", "2", "1")
    doubled = compute_resources(gpu_spec(H100, domain={"resources": {"limits": {H100: "1"}}}))
    assert doubled.limits[H100] == "1"


CALLS: tuple[tuple[str, str, Document | None, int, str], ...] = (
    ("start", "Halted", None, 202, ""),
    ("start", "Always", instance("Running"), 409, "VM is already running"),
    ("start", "Once", instance("Succeeded"), 409, "Once does not support manual start requests"),
    ("start", "Manual", None, 202, ""),
    ("stop", "Always", instance("Running"), 202, ""),
    ("stop", "Halted", None, 409, "VM is not running"),
    ("restart", "Always", instance("Running"), 202, ""),
    ("restart", "Halted", None, 409, "VM is not running: Halted"),
    ("restart", "Once", instance("Running"), 409, "RunStategy Once does not support manual restart requests"),
)


@pytest.mark.parametrize(("verb", "strategy", "found", "code", "why"), CALLS)
def test_start_stop_and_restart_answer(verb: str, strategy: str, found: Document | None, code: int, why: str) -> None:
    answer = subresources.answer(verb, "v", machine=machine(strategy), instance=found, options={})
    begins = 'Operation cannot be fulfilled on virtualmachine.kubevirt.io "v": '
    assert (answer.code, answer.message) == (code, begins + why if why else "")


def test_start_and_stop_change_the_spec_or_leave_requests() -> None:
    def change(verb: str, held: Document, found: Document | None) -> tuple[Document | None, tuple[Document, ...]]:
        answer = subresources.answer(verb, "v", machine=held, instance=found, options={})
        return answer.spec, answer.requests

    runs = instance("Running")
    assert change("start", machine("Halted"), None) == ({"runStrategy": "Always"}, ())
    assert change("stop", machine("Always"), runs) == ({"runStrategy": "Halted"}, ())
    assert change("stop", {"metadata": {"name": "v"}, "spec": {"running": True}}, runs) == ({"running": False}, ())
    assert change("stop", machine("Manual"), runs) == (None, (STOP,))
    assert change("start", machine("Manual"), instance("Failed")) == (None, (STOP, START))
    assert change("restart", machine("Always"), runs) == (None, (STOP, START))


def test_a_restart_cannot_be_given_time() -> None:
    refused = subresources.answer(
        "restart", "v", machine=machine(), instance=instance("Running"), options={"gracePeriodSeconds": 10}
    )
    assert (refused.code, refused.message) == (400, "For force restart, only gracePeriod=0 is supported for now")
    missing = subresources.answer("stop", "nope", machine=None, instance=None, options={})
    assert (missing.code, missing.message) == (404, 'virtualmachine.kubevirt.io "nope" not found')


EVICTIONS = (
    ("None", False, 0, ""),
    ("LiveMigrateIfPossible", False, 0, ""),
    ("LiveMigrate", False, 429, "VMI v is configured with an eviction strategy but is not live-migratable"),
    ("LiveMigrate", True, 429, 'Eviction triggered evacuation of VMI "n/v"'),
    ("External", False, 429, 'Eviction triggered evacuation of VMI "n/v"'),
)


@pytest.mark.parametrize(("strategy", "migratable", "code", "says"), EVICTIONS)
def test_an_eviction_is_judged_by_strategy(strategy: str, migratable: bool, code: int, says: str) -> None:
    held = instance("Running", condition("LiveMigratable", migratable), evictionStrategy=strategy)
    denial = judge(held).denial
    assert (denial.code, denial.message) == (code, says) if denial is not None else code == 0


CHANGES: tuple[tuple[str, Document, str], ...] = (
    ("another GPU", gpu_spec(H100, H100), OTHER),
    ("cores", gpu_spec(H100, domain={"cpu": {"cores": 8}}), OTHER),
    ("sockets", gpu_spec(H100, domain={"cpu": {"sockets": 2}}), SOCKETS_UP),
    ("memory", gpu_spec(H100, domain={"memory": {"guest": "8Gi"}}), MEMORY),
    ("grace", gpu_spec(H100, terminationGracePeriodSeconds=5), OTHER),
    ("node selector", gpu_spec(H100, nodeSelector={"a": "b"}), ""),
    ("nothing", gpu_spec(H100), ""),
)


@pytest.mark.parametrize(("spec", "says"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_a_change_says_whether_it_needs_a_restart(spec: Document, says: str) -> None:
    started = {"template": {"spec": gpu_spec(H100)}}
    assert restart_required(started, {"spec": {"template": {"spec": spec}}}) == says


def test_a_node_selector_is_live_and_a_gpu_is_not() -> None:
    held = {"spec": gpu_spec(H100)}
    wanted = {"spec": {"template": {"spec": merged(gpu_spec(H100, H100), {"nodeSelector": {"a": "b"}})}}}
    changed = live_changes(held, wanted)
    assert changed is not None
    assert changed["spec"] == merged(gpu_spec(H100), {"nodeSelector": {"a": "b"}})
    assert at(held, "spec", "nodeSelector") is None
