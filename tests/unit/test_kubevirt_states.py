"""What a machine is, from KubeVirt's objects as they were seen: every row of every sequence that was recorded."""

from __future__ import annotations

import pytest

from provisioner.drivers.kubevirt.reading import machine_of, state_of
from provisioner.drivers.kubevirt.sight import Sight
from provisioner.drivers.machine_cluster import MachineState
from tests.unit.kubevirt_objects import (
    NOT_RUNNING,
    READY,
    SILENT,
    TERMINATING,
    condition,
    instance,
    machine,
    node,
    pod,
    sight,
)

STOPPED_FIRST = {"printableStatus": "Stopped"}
RUNNING_WORDS = {"printableStatus": "Running", "created": True}
BOUND = pod(node="gpu-2")
EVICTED = pod(condition("DisruptionTarget", "True", "EvictionByEvictionAPI"), node="gpu-2", phase="Running")
BY_TAINT = pod(condition("DisruptionTarget", "True", "DeletionByTaintManager"), node="gpu-2", phase="Running")

START = [
    ("the first status, before there is an instance", sight(machine(status=STOPPED_FIRST)), "waiting"),
    ("no status yet", sight(machine()), "waiting"),
    ("Starting without an instance", sight(machine(status={"printableStatus": "Starting"})), "waiting"),
    ("an instance without a phase", sight(machine(), instance("")), "waiting"),
    ("Pending", sight(machine(), instance("Pending")), "waiting"),
    ("Scheduling, pod not bound", sight(machine(), instance("Scheduling", NOT_RUNNING), pod=pod()), "waiting"),
    ("Scheduling, pod bound", sight(machine(), instance("Scheduling", NOT_RUNNING), pod=BOUND, node=node("True")), "placed"),
    ("Scheduled", sight(machine(), instance("Scheduled", NOT_RUNNING, nodeName="gpu-2"), node=node("True")), "placed"),
    (
        "Running before it is ready",
        sight(machine(), instance("Running", NOT_RUNNING, nodeName="gpu-2"), node=node("True")),
        "running",
    ),
    ("Running and ready", sight(machine(status=RUNNING_WORDS), instance("Running", READY, nodeName="gpu-2")), "running"),
    ("Paused", sight(machine(), instance("Running", READY, condition("Paused", "True"), nodeName="gpu-2")), "running"),
    ("a pod that failed", sight(machine(), instance("Scheduling"), pod=pod(node="gpu-2", phase="Failed")), "waiting"),
]
STOP = [
    ("Halted just now", sight(machine("Halted"), instance("Running", READY, nodeName="gpu-2")), "stopping"),
    ("Halted, deleted", sight(machine("Halted"), instance("Running", TERMINATING, going=True)), "stopping"),
    ("Halted, ended, pod and instance still there", sight(machine("Halted"), instance("Succeeded", going=True)), "stopped"),
    ("Halted, nothing left", sight(machine("Halted", status=STOPPED_FIRST)), "stopped"),
    ("Halted and never started", sight(machine("Halted")), "stopped"),
    ("running: false", sight({**machine(), "spec": {"running": False}}), "stopped"),
    ("running: true", sight({**machine(), "spec": {"running": True}}), "waiting"),
]
AGAIN = [
    ("Always, deleted instance", sight(machine(), instance("Running", TERMINATING, going=True)), "stopping"),
    ("Always, Stopped amid a restart", sight(machine(status=STOPPED_FIRST), instance("Succeeded", going=True)), "stopping"),
    ("Always, crashed", sight(machine(), instance("Failed")), "stopping"),
    ("Always, between two instances", sight(machine(status=STOPPED_FIRST)), "waiting"),
    ("Always, evicted", sight(machine(), instance("Running", TERMINATING), pod=EVICTED, node=node("True")), "stopping"),
    ("Always, back-off", sight(machine(status={"printableStatus": "CrashLoopBackOff"})), "waiting"),
    ("Once, powered off", sight(machine("Once"), instance("Succeeded")), "stopped"),
    ("Once, crashed", sight(machine("Once"), instance("Failed")), "stopped"),
    ("Once, its instance deleted for a restart", sight(machine("Once"), instance("Succeeded", going=True)), "stopping"),
]
GOING = [
    ("unschedulable and deleted", sight(machine(going=True), instance("Scheduling", going=True), pod=pod()), "stopping"),
    ("running and deleted", sight(machine(going=True), instance("Running", TERMINATING, going=True)), "stopping"),
    ("ended and deleted", sight(machine(going=True), instance("Succeeded", going=True)), "stopping"),
    ("deleted with nothing left but itself", sight(machine(going=True)), "stopping"),
    ("orphaned: the machine is gone, its guest runs", sight(None, instance("Running", READY, nodeName="gpu-2")), "stopping"),
]
LOST_INSTANCE = instance("Running", SILENT, nodeName="gpu-2")
LOST = [
    ("53 s: its node says so", sight(machine(status=RUNNING_WORDS), LOST_INSTANCE, node=node("Unknown")), "lost"),
    ("53 s, and we may not ask the node", sight(machine(status=RUNNING_WORDS), LOST_INSTANCE), "lost"),
    (
        "344 s: the taint manager deleted its pod",
        sight(machine(status=RUNNING_WORDS), instance("Running", TERMINATING, nodeName="gpu-2"), node=node("Unknown")),
        "lost",
    ),
    (
        "the same, and we may not ask",
        sight(machine(), instance("Running", TERMINATING, nodeName="gpu-2"), pod=BY_TAINT),
        "lost",
    ),
    (
        "a taint on a node that answers",
        sight(machine(), instance("Running", TERMINATING, nodeName="gpu-2"), pod=BY_TAINT, node=node("True")),
        "stopping",
    ),
    ("the node object is gone", sight(machine(), LOST_INSTANCE, is_node_gone=True), "lost"),
    (
        "deleted meanwhile: hangs until its pod is removed",
        sight(machine(going=True), instance("Running", TERMINATING, going=True, nodeName="gpu-2"), node=node("Unknown")),
        "lost",
    ),
    (
        "scheduled, not running yet",
        sight(machine(), instance("Scheduled", NOT_RUNNING, nodeName="gpu-2"), node=node("Unknown")),
        "lost",
    ),
    (
        "the pod was removed by force: it failed at once",
        sight(machine("Once"), instance("Failed", nodeName="gpu-2")),
        "stopped",
    ),
    ("the phase that says so itself", sight(machine(), instance("Unknown", nodeName="gpu-2")), "lost"),
    ("silent virt-handler alone: ready goes on", sight(machine(), instance("Running", READY, nodeName="gpu-2")), "running"),
]


@pytest.mark.parametrize(
    ("seen", "state"), [pytest.param(seen, state, id=name) for name, seen, state in START + STOP + AGAIN + GOING + LOST]
)
def test_state(seen: Sight, state: str) -> None:
    assert state_of(seen) is MachineState(state)


def test_how_it_ended_and_which_one() -> None:
    off = machine_of(sight(machine("Once"), instance("Succeeded", nodeName="gpu-2")))
    assert off is not None
    assert (off.ended, off.instance_uid, off.node, off.addresses) == ("off", "vmi-1", "gpu-2", ())
    crashed = machine_of(sight(machine("Once"), instance("Failed")))
    assert crashed is not None
    assert crashed.ended == "crashed"


def test_where_it_is_and_with_what() -> None:
    interfaces = [{"ipAddress": "10.0.0.5", "ipAddresses": ["10.0.0.5", "fd00::5"]}, {"name": "without"}]
    found = machine_of(
        sight(machine(status=RUNNING_WORDS), instance("Running", READY, gpus=2, interfaces=interfaces, nodeName="n"))
    )
    assert found is not None
    assert found.addresses == ("10.0.0.5", "fd00::5")
    assert found.gpus == ("nvidia.com/GH100_H100_NVL",) * 2
    assert found.status_in_its_words == "Running"


def test_a_node_is_known_as_soon_as_the_pod_is_bound() -> None:
    found = machine_of(sight(machine(), instance("Scheduling"), pod=BOUND, node=node("True")))
    assert found is not None
    assert found.node == "gpu-2"


@pytest.mark.parametrize(
    ("vm", "vmi", "current"),
    [
        (machine(digest="a"), instance("Running", digest="a"), True),
        (machine(digest="b"), instance("Running", digest="a"), False),
        (
            machine(status={"conditions": [condition("RestartRequired", "True", message="a non-live-updatable…")]}),
            instance("Running"),
            False,
        ),
        (machine(digest="b"), None, True),
    ],
    ids=["as it was applied", "applied otherwise since", "changed by somebody else", "there is no instance"],
)
def test_whether_it_is_current(vm: dict[str, object], vmi: dict[str, object] | None, current: bool) -> None:
    found = machine_of(sight(vm, vmi))
    assert found is not None
    assert found.is_current is current


def test_defaults_of_admission_are_no_drift() -> None:
    vm = machine()
    vm["spec"]["template"]["spec"] = {
        "architecture": "amd64",
        "domain": {"machine": {"type": "q35"}, "firmware": {"uuid": "u"}},
    }
    vm["spec"]["template"]["metadata"]["annotations"]["kubevirt.io/pci-topology-version"] = "v3"
    found = machine_of(sight(vm, instance("Running", READY)))
    assert found is not None
    assert found.is_current


@pytest.mark.parametrize(
    "vmi",
    [
        instance("Running", READY, condition("EvictionRequested", "True", "EvictionRequested"), nodeName="gpu-2"),
        instance("Running", READY, nodeName="gpu-2", evacuationNodeName="gpu-2"),
    ],
    ids=["condition", "evacuation node"],
)
def test_somebody_drains_its_node(vmi: dict[str, object]) -> None:
    found = machine_of(sight(machine(), vmi))
    assert found is not None
    assert found.asks_to_leave


def test_one_that_goes_already_does_not_ask() -> None:
    vmi = instance("Running", TERMINATING, condition("EvictionRequested", "True"), going=True)
    found = machine_of(sight(machine(), vmi))
    assert found is not None
    assert not found.asks_to_leave


def test_what_bears_no_mark_is_not_ours() -> None:
    stranger = machine()
    stranger["metadata"]["labels"] = {}
    assert machine_of(sight(stranger)) is None
    assert machine_of(sight(None)) is None


def test_the_names_of_claimed_gpus_are_in_our_annotation() -> None:
    vmi = instance("Running", READY, gpus=0)
    vmi["spec"]["domain"]["devices"]["gpus"] = [{"name": "gpu0", "claimName": "gpus", "requestName": "r1"}]
    vmi["metadata"]["annotations"]["hikube.cloud/gpus"] = '["nvidia.com/GH100_H100_NVL"]'
    found = machine_of(sight(machine(), vmi))
    assert found is not None
    assert found.gpus == ("nvidia.com/GH100_H100_NVL",)
