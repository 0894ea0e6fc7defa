"""Counting: labels are bounded whatever the fleet, and what is left out is in the totals."""

from __future__ import annotations

from collections import Counter

import pytest

from provisioner.clocks import ManualClock
from provisioner.lifecycle.fleet import Known
from provisioner.model.cluster import ClusterDevice, ClusterFacts, ClusterNode, PermittedDevice, ShownMachine
from provisioner.model.errors import StoreUnavailable
from provisioner.model.gpu_host import GpuFacts, GPUHost, GPUHostSpec, GPUHostStatus
from provisioner.model.metadata import Condition, Key, Metadata, Resource
from provisioner.model.pci import PciFunction
from provisioner.model.virtual_machine import GpuRequest, Phase, VirtualMachine, VirtualMachineSpec, VirtualMachineStatus
from provisioner.planning.commitments import Commitment
from provisioner.planning.fleet import Fleet
from server.figures import BETWEEN_ATTEMPTS, HOSTS_MAX, MODELS_MAX, NOT_LOOKED_AT, OTHER, REASONS_MAX, bounded, figures_of
from server.fleet_metrics import FRESH_S, SHARE, FleetCollector


def host(number: int, *, reachable: bool = True) -> GPUHost:
    address = "0000:41:00.0"
    function = PciFunction(address=address, vendor="10de", device="26b9", pci_class="030200")
    gpu = GpuFacts(function=function, name=f"example.com/model-{number % 100}", iommu_group=1)
    name = f"host-{number:04}"
    status = GPUHostStatus(reachable=reachable, gpus=(gpu,))
    return GPUHost(metadata=Metadata(name=name), spec=GPUHostSpec(uri=f"simulated://{name}"), status=status)


def machine(number: int, *, reason: str = "", status: str = "False", phase: Phase = Phase.PENDING) -> VirtualMachine:
    conditions = (Condition(type="Scheduled", status=status, reason=reason),) if reason else ()
    spec = VirtualMachineSpec(gpus=(GpuRequest(name=f"example.com/model-{number}"),))
    made = Metadata(name=f"vm-{number}", namespace="default", uid=str(number), creation_timestamp="2026-01-01T00:00:00Z")
    return VirtualMachine(metadata=made, spec=spec, status=VirtualMachineStatus(phase=phase, conditions=conditions))


def known(*objects: Resource) -> Known:
    return Known(objects, Fleet.of(each for each in objects if isinstance(each, GPUHost)))


def series(objects: list[Resource]) -> Counter[str]:
    """How many each family has."""
    collector = FleetCollector(ManualClock())
    collector.look_with(lambda: known(*objects))
    return Counter({family.name: len(family.samples) for family in collector.collect()})


def test_a_huge_fleet_has_bounded_metrics() -> None:
    hosts = [host(number, reachable=number != 1234) for number in range(HOSTS_MAX * 4)]
    waiting = [machine(number, reason=f"Reason{number}") for number in range(REASONS_MAX * 2)]
    wanting = [machine(number, reason="InsufficientGPUs") for number in range(MODELS_MAX * 3)]
    objects: list[Resource] = [*hosts, *waiting, *wanting]
    counts = series(objects)
    assert counts["hikube_gpus"] <= MODELS_MAX * 8
    assert counts["hikube_gpus_wanted"] <= MODELS_MAX
    assert counts["hikube_host_gpus"] == counts["hikube_host_reachable"] == HOSTS_MAX
    assert counts["hikube_vms_waiting"] == REASONS_MAX
    figures = figures_of(known(*objects), now_s=0.0)
    assert figures.gpus.total() == HOSTS_MAX * 4
    assert "host-1234" in figures.hosts_shown, "who is away comes first"


def test_what_is_beyond_the_bound_is_counted_as_other() -> None:
    counts = bounded(Counter({"a": 5, "b": 3, "c": 2, "d": 1}), 3)
    assert counts == {"a": 5, "b": 3, OTHER: 3}
    assert bounded(Counter({"a": 1}), 3) == {"a": 1}


@pytest.mark.parametrize(
    ("vm", "waiting"),
    [
        (machine(1), {NOT_LOOKED_AT: 1}),
        (machine(1, reason="InsufficientGPUs"), {"InsufficientGPUs": 1}),
        (machine(1, reason="Undone"), {BETWEEN_ATTEMPTS: 1}),
        (machine(1, reason="Done", status="True"), {}),
        (machine(1, reason="InsufficientGPUs", phase=Phase.STOPPED), {}),
        (machine(1, reason="InsufficientGPUs").with_metadata(deletion_timestamp="2026-01-01T00:00:00Z"), {}),
    ],
)
def test_who_waits_and_why(vm: VirtualMachine, waiting: dict[str, int]) -> None:
    assert figures_of(known(vm), now_s=0.0).waiting == waiting


def test_only_what_no_host_takes_is_wanted() -> None:
    objects = [machine(1, reason="InsufficientGPUs"), machine(2, reason="Undone"), machine(3, reason="DiskNotReady")]
    assert figures_of(known(*objects), now_s=0.0).wanted == {"example.com/model-1": 1}


def node(name: str, *, count: int, used: int, schedulable: bool = True) -> ClusterNode:
    devices = (ClusterDevice(resource="nvidia.com/AD102GL_L40S", count=count, used=used),)
    taken = {"memory_mib": 1 << 20, "memory_used_mib": 0, "cpu_milli": 128_000, "cpu_used_milli": 0}
    return ClusterNode(name=name, schedulable=schedulable, devices=devices, **taken)


@pytest.mark.parametrize(("is_there", "free", "unavailable"), [(True, 3, 5), (False, 0, 8)])
def test_gpus_of_a_kubevirt_cluster_are_counted_by_its_nodes_and_promises(is_there: bool, free: int, unavailable: int) -> None:
    """Two of ours, shown in use on the first node; one of somebody else's; a node that takes no machines."""
    name = "nvidia.com/AD102GL_L40S"
    facts = ClusterFacts(
        nodes=(node("a", count=4, used=3), node("b", count=2, used=0), node("c", count=4, used=0, schedulable=False)),
        permitted=(PermittedDevice(resource=name, id="10de:26b9", name=name),),
        machines=(ShownMachine(owner_uid="1", node="a", gpus=(name, name)),),
    )
    status = GPUHostStatus(reachable=is_there, cluster=facts)
    cluster = GPUHost(metadata=Metadata(name="cluster"), spec=GPUHostSpec(uri="kubevirt:"), status=status)
    owner = Key("VirtualMachine", "default", "vm")
    taken = Commitment(owner, "1", "cluster", vcpus=8, memory_mib=1024, gpus=2, gpu_names=(name, name))
    figures = figures_of(Known((cluster,), Fleet.of((cluster,), commitments=(taken,))), now_s=0.0)
    expected = {(name, "Free"): free, (name, "Claimed"): 2, (name, "Unavailable"): unavailable}
    assert figures.gpus == {labels: number for labels, number in expected.items() if number}


def test_a_look_that_takes_long_is_not_repeated_soon() -> None:
    clock, looks = ManualClock(), []

    def look() -> Known:
        looks.append(clock.now_s())
        clock.advance(3.0)
        return known(host(1))

    collector = FleetCollector(clock)
    collector.look_with(look)
    list(collector.collect())
    clock.advance(SHARE * 3.0 - 1)
    list(collector.collect())
    assert len(looks) == 1
    clock.advance(2)
    list(collector.collect())
    assert len(looks) == 2


def test_a_look_that_fails_is_tried_again_after_a_moment() -> None:
    clock, answers = ManualClock(), [StoreUnavailable("away")]

    def look() -> Known:
        if answers:
            raise answers.pop()
        return known(host(1))

    collector = FleetCollector(clock)
    collector.look_with(look)
    assert "hikube_gpus" not in {family.name for family in collector.collect()}
    assert "hikube_gpus" not in {family.name for family in collector.collect()}
    clock.advance(FRESH_S)
    assert "hikube_gpus" in {family.name for family in collector.collect()}
