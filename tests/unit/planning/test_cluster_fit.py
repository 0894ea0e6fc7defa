"""Whether a KubeVirt cluster takes a VM: node by node, in exact words, counting what is promised once."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.model.cluster import ClusterDevice, ClusterFacts, ClusterNode, ClusterSettings, PermittedDevice, ShownMachine
from provisioner.model.gpu_host import GPUHost, GPUHostSpec, GPUHostStatus
from provisioner.model.metadata import Key, Metadata
from provisioner.planning.explain import explain
from provisioner.planning.fleet import Commitment, Fleet
from provisioner.planning.placement import NoPlacement, Placement, place
from tests.unit.planning.factory import H100, L40S, asks, gpu, host

GIB = 1024


def node(name: str, gpus: int = 0, *, used: int = 0, of: str = L40S, **changes: Any) -> ClusterNode:
    """A node of 64 CPUs and 256 GiB."""
    devices = (ClusterDevice(resource=of, name=of, count=gpus, used=used),) if gpus else ()
    values = {"memory_mib": 256 * GIB, "memory_used_mib": 0, "cpu_milli": 64_000, "cpu_used_milli": 0} | changes
    return ClusterNode(**{"name": name, "schedulable": True, "devices": devices, **values})


def cluster(*nodes: ClusterNode, settings: dict[str, Any] | None = None, labels: Any = None, **facts: Any) -> GPUHost:
    """A cluster `k` that permits L40S."""
    permitted = facts.pop("permitted", (PermittedDevice(resource=L40S, id="10de:26b9", name=L40S),))
    found = ClusterFacts(**{"version": "v1.9.0", "nodes": nodes, "permitted": permitted, "can_import_disks": True, **facts})
    return GPUHost(
        metadata=Metadata(name="k", labels=labels or {}),
        spec=GPUHostSpec(uri="kubevirt:", kubevirt=ClusterSettings(**settings or {})),
        status=GPUHostStatus(reachable=True, last_seen="2026-11-21T12:00:00.000000Z", cluster=found),
    )


def promised(uid: str, *names: str, memory_mib: int = 4096, vcpus: int = 2) -> Commitment:
    """What a VM of that uid was promised."""
    key = Key("VirtualMachine", "default", uid)
    return Commitment(key, uid, "k", vcpus=vcpus, memory_mib=memory_mib, gpus=len(names), gpu_names=names)


def asked(where: GPUHost, request: Any, *commitments: Commitment) -> Placement | NoPlacement:
    return place(request, Fleet.of([where], commitments=commitments))


def test_a_cluster_takes_a_vm_and_names_no_gpu() -> None:
    found = asked(cluster(node("n1", 2), node("n2", 4)), asks(1))
    assert isinstance(found, Placement)
    assert (found.host, found.gpus, found.node) == ("k", (), "n1")
    assert found.sentence() == "k (room on node n1; 1 of 1 host fit)"
    assert found.reasons[1] == "node n1 has room now; the cluster's own scheduler chooses among its nodes"
    assert found.as_dict()["node"] == "n1"


def test_the_node_that_stays_fullest_is_named_so_that_large_ones_stay_whole() -> None:
    found = asked(cluster(node("big", 8), node("small", 2)), asks(2))
    assert isinstance(found, Placement)
    assert found.node == "small"


REFUSED = {
    "WrongGPUModel": (cluster(node("n1", 1)), asks(1, H100), "has no H100"),
    "NotPermitted": (
        cluster(node("n1", 1), permitted=()),
        asks(1),
        f"its nodes offer {L40S}, which permittedHostDevices does not name",
    ),
    "InsufficientGPUs": (cluster(node("n1", 4, used=3), node("n2", 4, used=4)), asks(2), "1 of 8 L40S free, 2 needed"),
    "InsufficientMemory": (
        cluster(node("n1", 1, memory_used_mib=255 * GIB)),
        asks(1, memory_mib=4096, vcpus=4),
        "1 GiB of memory free, 5.3 GiB needed with overhead",
    ),
    "InsufficientCPUs": (cluster(node("n1", 1, cpu_used_milli=63_800)), asks(1, vcpus=4), "room for 2 vCPUs, 4 needed"),
    "LabelsDiffer": (
        cluster(node("n1", 1)),
        asks(1, host_selector={"zone": "a"}),
        "neither it nor node n1 has label zone=a",
    ),
    "Cordoned": (cluster(node("n1", 1, schedulable=False)), asks(1), "node n1 takes no machines"),
    "NetworkMissing": (cluster(node("n1", 1)), asks(1, networks=("lan",)), "machines are on the pod network alone"),
    "DiskUnavailable": (
        cluster(node("n1", 1), can_import_disks=False),
        asks(1, image="ubuntu"),
        "no containerDisk is named for image ubuntu, and the cluster imports no disks (CDI)",
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_each_reason_has_a_name_and_a_sentence(reason: str) -> None:
    where, request, sentence = REFUSED[reason]
    answer = asked(where, request)
    assert isinstance(answer, NoPlacement)
    assert (answer.refused[0][1][0].reason, answer.sentence()) == (reason, f"1 host: {sentence}")


def test_a_permitted_model_that_no_node_offers_is_told_by_its_resource() -> None:
    permitted = (PermittedDevice(resource="nvidia.com/L40S_X", id="10de:26b9", name=L40S),)
    answer = asked(cluster(node("n1", 1, of="nvidia.com/other"), permitted=permitted), asks(1))
    assert isinstance(answer, NoPlacement)
    assert answer.sentence() == "1 host: permits L40S as nvidia.com/L40S_X, and no node offers any"


def test_gpus_that_are_free_on_several_nodes_do_not_add_up() -> None:
    answer = asked(cluster(node("n1", 4, used=2), node("n2", 4, used=1)), asks(4))
    assert isinstance(answer, NoPlacement)
    assert answer.sentence() == "1 host: 3 L40S free on node n2, 4 needed on one node"
    assert answer.nearest is not None
    assert answer.nearest.lacks == "1 more L40S on one node"


def test_memory_must_be_on_the_node_that_has_the_gpu() -> None:
    answer = asked(cluster(node("full", 2, memory_used_mib=254 * GIB), node("bare")), asks(1, memory_mib=8192))
    assert isinstance(answer, NoPlacement)
    assert answer.reason == "InsufficientMemory"
    assert answer.sentence() == "1 host: 2 GiB of memory free on node full, 9.3 GiB needed with overhead"


def test_a_promise_counts_until_the_cluster_shows_the_machine_and_then_no_more() -> None:
    one = promised("other", L40S)
    assert isinstance(asked(cluster(node("n1", 1)), asks(1), one), NoPlacement)
    shown = (ShownMachine(owner_uid="other", node="n1", gpus=(L40S,)),)
    assert isinstance(asked(cluster(node("n1", 2, used=1), machines=shown), asks(1), one), Placement)
    assert isinstance(asked(cluster(node("n1", 2, used=1)), asks(1), one), NoPlacement)


def test_a_vm_sees_what_it_has_itself_as_free() -> None:
    own = promised("uid-1", L40S)
    request = asks(1, owner_uid="uid-1")
    shown = (ShownMachine(owner_uid="uid-1", node="n1", gpus=(L40S,)),)
    assert isinstance(asked(cluster(node("n1", 1)), request, own), Placement)
    full = node("n1", 1, used=1, memory_used_mib=256 * GIB, cpu_used_milli=63_900)
    assert isinstance(asked(cluster(full, machines=shown), request, own), Placement)
    assert isinstance(asked(cluster(full), asks(1)), NoPlacement)


def test_a_promise_that_fits_nowhere_takes_nothing_from_others() -> None:
    assert isinstance(asked(cluster(node("n1", 1)), asks(1), promised("large", *[L40S] * 8)), Placement)


def test_the_operators_word_for_a_model_comes_before_selectors() -> None:
    permitted = (
        PermittedDevice(resource="nvidia.com/A", id="10de:26b9", name=L40S),
        PermittedDevice(resource="nvidia.com/B", id="10de:26b9", name=L40S),
    )
    both = (node("n1", 1, of="nvidia.com/A", used=1), node("n2", 1, of="nvidia.com/B"))
    assert isinstance(asked(cluster(*both, permitted=permitted), asks(1)), NoPlacement)
    settings = {"gpu_resources": {L40S: "nvidia.com/B"}}
    assert isinstance(asked(cluster(*both, permitted=permitted, settings=settings), asks(1)), Placement)


def test_gpus_that_are_claimed_by_dra_are_not_counted_but_must_be_possible() -> None:
    settings = {"claim_templates": {L40S: "l40s"}}
    answer = asked(cluster(node("n1"), permitted=(), settings=settings), asks(1))
    assert isinstance(answer, NoPlacement)
    assert answer.sentence() == "1 host: L40S is given by DRA here, and the cluster has it switched off"
    assert isinstance(asked(cluster(node("n1"), permitted=(), settings=settings, can_claim_devices=True), asks(1)), Placement)


def test_a_fleet_of_both_kinds_is_explained_host_by_host() -> None:
    both = Fleet.of([host("a", gpu(0x41)), cluster(node("n1", 2, used=2))])
    explained = explain(asks(1), both)
    assert [verdict.line().partition("  ")[0] for verdict in explained.hosts] == ["a", "k"]
    assert explained.hosts[1].line() == "k  refused  0 of 2 L40S free"
    assert explained.hosts[1].free_gpus == (("L40S", 0, 2),)


def test_a_cordoned_cluster_keeps_the_vm_that_it_has_promised_a_place() -> None:
    where = cluster(node("n1", 1))
    cordoned = where.model_copy(update={"spec": where.spec.model_copy(update={"cordoned": True})})
    assert isinstance(asked(cordoned, asks(1)), NoPlacement)
    assert isinstance(asked(cordoned, asks(1, owner_uid="uid-1"), promised("uid-1", L40S)), Placement)
