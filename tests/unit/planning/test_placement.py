"""Where VMs go, and the exact words when they go nowhere."""

from __future__ import annotations

import pytest

from provisioner.model.gpu_host import GpuHealth, HostCapabilities, HostNetwork, KvmVerdict, StoragePool
from provisioner.model.pci import PciFunction
from provisioner.planning.placement import NoPlacement, Placement, place
from provisioner.planning.refusals import Reason
from provisioner.planning.requests import GpuNeed
from tests.unit.planning.factory import GIB, H100, L40S, asks, claim, commitment, fleet, gpu, host, quarantined

NVME = PciFunction(address="0000:09:00.0", vendor="144d", device="a80a", pci_class="010802", driver="nvme")


def yes(answer: Placement | NoPlacement) -> Placement:
    assert isinstance(answer, Placement), answer.sentence()
    return answer


def no(answer: Placement | NoPlacement) -> NoPlacement:
    assert isinstance(answer, NoPlacement), answer.sentence()
    return answer


def test_a_vm_takes_the_one_free_gpu() -> None:
    placed = yes(place(asks(1), fleet(host("a", gpu(0x41)))))
    assert (placed.host, placed.gpus, placed.gpu_names, placed.numa_node) == ("a", ("0000:41:00.0",), (L40S,), 0)
    assert placed.sentence() == "a (0000:41:00.0; NUMA node 0; 1 of 1 host fit)"
    assert placed.reasons[0] == "a is the only host that fits"


def test_a_taken_gpu_is_a_no_with_numbers() -> None:
    answer = no(place(asks(1), fleet(host("a", gpu(0x41)), claims=(claim("a", "0000:41:00.0"),))))
    assert answer.reason == "InsufficientGPUs"
    assert answer.sentence() == "1 host: 0 of 1 L40S free"
    assert answer.counts == {"InsufficientGPUs": 1}


def test_a_fleet_says_why_not_host_by_host_and_which_is_nearest() -> None:
    answer = no(
        place(
            asks(2, memory_mib=64 * 1024),
            fleet(
                host("a", gpu(0x41, H100)),
                host("b", gpu(0x41), gpu(0x42), memory_mib=48 * 1024),
                host("c", gpu(0x41), gpu(0x42), spec={"cordoned": True}),
                host("d", gpu(0x41), gpu(0x42), claims_of_nobody := gpu(0x43)),
                host("e"),
                claims=(claim("d", "0000:41:00.0"), claim("d", claims_of_nobody.address)),
            ),
        )
    )
    assert answer.counts == {"WrongGPUModel": 2, "Cordoned": 1, "InsufficientGPUs": 1, "InsufficientMemory": 1}
    assert sum(answer.counts.values()) == 5
    assert answer.nearest is not None
    assert (answer.nearest.host, answer.nearest.lacks) == ("b", "17.5 GiB of memory")
    assert answer.sentence() == (
        "5 hosts: 2 without L40S, 1 cordoned, 1 with too few L40S free, 1 short of memory; "
        "nearest: b, which lacks 17.5 GiB of memory"
    )
    assert answer.as_dict()["nearest"] == {"host": "b", "lacks": "17.5 GiB of memory"}


def test_an_empty_fleet_has_no_reason_but_that() -> None:
    answer = no(place(asks(1), fleet()))
    assert (answer.reason, answer.counts, answer.nearest, answer.sentence()) == ("NoHosts", {}, None, "there are no hosts")


POOL = StoragePool(name="default", active=True, available_bytes=10 * GIB)
NARROW = HostCapabilities(vfio=True, firmwares=("bios", "efi"), address_width_bits=39)
REFUSED = {
    "Unreachable": (host("a", gpu(0x41), reachable=False), asks(1), "unreachable since 2026-11-21T12:00:00.000000Z"),
    "Cordoned": (host("a", gpu(0x41), spec={"cordoned": True}), asks(1), "cordoned"),
    "BeingRemoved": (host("a", gpu(0x41), deletion_timestamp="2026-11-21T12:00:00Z"), asks(1), "being removed"),
    "NotForTenant": (
        host("a", gpu(0x41)),
        asks(1, tenant_labels=(("tenant", "x"),)),
        "not for this tenant: has no label tenant=x",
    ),
    "LabelsDiffer": (host("a", gpu(0x41), labels={"zone": "b"}), asks(1, host_selector={"zone": "a"}), "has no label zone=a"),
    "WrongGPUModel": (host("a", gpu(0x41, H100)), asks(1), "has no L40S"),
    "InsufficientGPUs": (host("a", gpu(0x41)), asks(2), "1 of 1 L40S free, 2 needed"),
    "GPUsQuarantined": (
        host("a", gpu(0x41), quarantined=quarantined("0000:41:00.0")),
        asks(1),
        "0 of 1 L40S free (1 quarantined)",
    ),
    "GPUsRetired": (host("a", gpu(0x41), spec={"retired": ("0000:41:00.0",)}), asks(1), "0 of 1 L40S free (1 retired)"),
    "GPUsUnhealthy": (host("a", gpu(0x41, health=GpuHealth.MISSING)), asks(1), "0 of 1 L40S free (1 unhealthy)"),
    "GroupShared": (host("a", gpu(0x41, sharing=(NVME,))), asks(1), "0 of 1 L40S free (1 in a shared IOMMU group)"),
    "NoVFIO": (host("a", gpu(0x41, iommu_group=None)), asks(1), "0 of 1 L40S free (1 without an IOMMU group)"),
    "InsufficientMemory": (
        host("a", gpu(0x41), memory_mib=4096),
        asks(1),
        "3 GiB of memory free, 4.3 GiB needed with overhead",
    ),
    "InsufficientCPUs": (host("a", gpu(0x41), cpus=4), asks(1, vcpus=8), "4 of 4 vCPUs free, 8 needed"),
    "InsufficientStorage": (
        host("a", gpu(0x41), storage_pools=(POOL,)),
        asks(1, storage_bytes=12 * GIB),
        "10 GiB of storage free in pool default, 12 GiB needed",
    ),
    "PoolMissing": (host("a", gpu(0x41), storage_pools=()), asks(1), "storage pool default does not exist"),
    "NetworkMissing": (host("a", gpu(0x41)), asks(1, networks=("lan",)), "network lan does not exist"),
    "KvmBroken": (
        host("a", gpu(0x41), kvm=KvmVerdict(works=False, message="the guest hung")),
        asks(1),
        "KVM does not work and emulation is not allowed (the guest hung)",
    ),
    "KvmUnproven": (host("a", gpu(0x41), kvm=KvmVerdict()), asks(1), "nobody has tried KVM there yet"),
    "FirmwareMissing": (
        host("a", gpu(0x41), capabilities=HostCapabilities(vfio=True)),
        asks(1, firmware="efi"),
        "has no efi firmware",
    ),
    "BarsTooLarge": (
        host("a", gpu(0x41, H100, bar_bytes=(128 * GIB,)), capabilities=NARROW),
        asks(1, H100, firmware="efi", memory_mib=192 * 1024),
        "the GPUs' BARs want a window of 384 GiB, efi makes at most 256 GiB with the 39 address bits of the CPU",
    ),
    "PinnedElsewhere": (host("a", gpu(0x41)), asks(1, pinned_hosts=("b",)), "the VM's disk is on b"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_each_reason_has_a_name_and_a_sentence(reason: str) -> None:
    where, request, sentence = REFUSED[reason]
    answer = no(place(request, fleet(where)))
    assert answer.reason == reason
    assert answer.sentence() == f"1 host: {sentence}"
    assert answer.as_dict()["counts"] == {reason: 1}


def test_every_reason_is_covered_above() -> None:
    elsewhere = {"GPUsBeingCleaned", "InsufficientExternalAddresses", "NotPermitted", "DiskUnavailable"}
    assert {reason.value for reason in Reason} - elsewhere == set(REFUSED)


def test_a_network_that_is_down_is_missing() -> None:
    down = host("a", networks=(HostNetwork(name="default", active=False),))
    assert no(place(asks(), fleet(down))).sentence() == "1 host: network default is not active"


def test_two_gpus_in_one_group_cannot_be_told_apart_and_go_to_nobody() -> None:
    first, second = gpu(0x41).function, gpu(0x42).function
    answer = no(place(asks(1), fleet(host("a", gpu(0x41, sharing=(second,)), gpu(0x42, sharing=(first,))))))
    assert answer.reason == "GroupShared"
    assert answer.nearest is not None
    assert answer.nearest.lacks == "1 L40S alone in an IOMMU group"


def test_gpus_that_are_close_beat_gpus_that_are_far_apart() -> None:
    spread = host("a", gpu(0x41, node=0), gpu(0x81, node=1))
    close = host("b", gpu(0x41, node=1), gpu(0x42, node=1), gpu(0x81, node=0), gpu(0x82, node=0))
    placed = yes(place(asks(2), fleet(spread, close)))
    assert (placed.host, placed.numa_node) == ("b", 1)
    assert placed.reasons[0] == "b is better than a: GPUs on 1 NUMA node instead of 2"


def test_gpus_under_one_bridge_beat_gpus_on_one_node() -> None:
    gpus = [gpu(0x41, parent="0000:40:01.0"), gpu(0x42, parent="0000:40:02.0"), gpu(0x43, parent="0000:40:02.0")]
    placed = yes(place(asks(2), fleet(host("a", *gpus))))
    assert placed.gpus == ("0000:42:00.0", "0000:43:00.0")
    assert placed.score.bridges == 1


def test_gpus_from_several_bridges_take_whole_bridges_and_the_smallest_rest() -> None:
    """Three of a pair, a single one and another pair: a pair and the single one, so that the other pair stays whole."""
    pairs = {0x41: "1", 0x42: "1", 0x43: "2", 0x44: "3", 0x45: "3"}
    gpus = [gpu(bus, parent=f"0000:40:0{bridge}.0") for bus, bridge in pairs.items()]
    placed = yes(place(asks(3), fleet(host("a", *gpus))))
    assert placed.gpus == ("0000:41:00.0", "0000:42:00.0", "0000:43:00.0")
    assert placed.score.bridges == 2


def test_a_smaller_bridge_is_taken_before_a_larger_one() -> None:
    large = [gpu(bus, parent="0000:40:01.0") for bus in (0x41, 0x42, 0x43)]
    small = [gpu(bus, parent="0000:40:02.0") for bus in (0x51, 0x52)]
    placed = yes(place(asks(2), fleet(host("a", *large, *small))))
    assert placed.gpus == ("0000:51:00.0", "0000:52:00.0")


def test_a_rest_comes_from_the_smallest_bridge_that_has_it() -> None:
    """Four of three, two and three: a whole three, and then one of the two rather than one of the other three."""
    sizes = {"1": (0x41, 0x42, 0x43), "2": (0x51, 0x52), "3": (0x61, 0x62, 0x63)}
    gpus = [gpu(bus, parent=f"0000:40:0{bridge}.0") for bridge, buses in sizes.items() for bus in buses]
    placed = yes(place(asks(4), fleet(host("a", *gpus))))
    assert placed.gpus == ("0000:41:00.0", "0000:42:00.0", "0000:43:00.0", "0000:51:00.0")


def test_a_whole_node_is_worth_more_than_a_whole_bridge() -> None:
    node_of_four = [gpu(bus, node=0) for bus in (0x41, 0x42, 0x43, 0x44)]
    pair = [gpu(bus, node=1, parent="0000:80:01.0") for bus in (0x81, 0x82)]
    assert yes(place(asks(1), fleet(host("a", *node_of_four, *pair)))).gpus == ("0000:81:00.0",)


def test_between_equal_hosts_the_one_with_the_smaller_node_is_broken_up() -> None:
    even = host("a", *(gpu(bus, node=bus // 0x80) for bus in (0x41, 0x42, 0x81, 0x82)))
    uneven = host("b", *(gpu(bus, node=bus // 0x80) for bus in (0x41, 0x81, 0x82, 0x83)))
    placed = yes(place(asks(1), fleet(even, uneven)))
    assert (placed.host, placed.gpus) == ("b", ("0000:41:00.0",))
    assert placed.reasons[0] == "b is better than a: it breaks up no larger NUMA node"


def test_one_gpu_comes_from_the_node_that_is_broken_up_already() -> None:
    gpus = [gpu(bus, node=0) for bus in (0x41, 0x42, 0x43, 0x44)] + [gpu(0x81, node=1), gpu(0x82, node=1)]
    taken = (claim("a", "0000:81:00.0"),)
    assert yes(place(asks(1), fleet(host("a", *gpus), claims=taken))).gpus == ("0000:82:00.0",)


def test_whole_hosts_stay_free_for_large_vms() -> None:
    whole = host("a", *(gpu(0x41 + number) for number in range(8)))
    begun = host("b", *(gpu(0x41 + number) for number in range(8)))
    placed = yes(place(asks(1), fleet(whole, begun, claims=(claim("b", "0000:41:00.0"),))))
    assert placed.host == "b"
    assert placed.reasons[0] == "b is better than a: 6 GPUs stay free, not 7, so large hosts stay whole"
    assert [score.host for score in placed.alternatives] == ["a"]


def test_memory_beside_the_gpu_decides_between_nodes() -> None:
    """Node 0 is the first by address, but another guest with its GPU there has most of its memory."""
    gpus = (gpu(0x41, node=0), gpu(0x42, node=0), gpu(0x81, node=1))
    placed = yes(
        place(
            asks(1, memory_mib=100 * 1024),
            fleet(
                host("a", gpus[0], gpus[1], gpus[2], gpu(0x82, node=1)),
                claims=(claim("a", "0000:41:00.0"),),
                commitments=(commitment("a", memory_mib=100 * 1024),),
            ),
        )
    )
    assert placed.numa_node == 1


def test_a_vm_without_gpus_leaves_gpu_hosts_alone() -> None:
    placed = yes(place(asks(), fleet(host("a", gpu(0x41)), host("b"))))
    assert (placed.host, placed.gpus) == ("b", ())
    assert yes(place(asks(), fleet(host("a", gpu(0x41))))).reasons[-1] == "no host without GPUs fits"
    full = yes(place(asks(), fleet(host("a", gpu(0x41)), host("b"), claims=(claim("a", "0000:41:00.0"),))))
    assert (full.host, full.reasons[0]) == ("b", "b is better than a: it has 0 GPUs instead of 1, and the VM needs none")


def test_a_host_with_kvm_beats_one_that_emulates() -> None:
    emulating = host("a", gpu(0x41), kvm=KvmVerdict(works=False), spec={"allow_emulation": True})
    assert yes(place(asks(1), fleet(emulating, host("b", gpu(0x41), gpu(0x42))))).host == "b"
    alone = yes(place(asks(1), fleet(emulating)))
    assert alone.is_emulated
    assert "slowly" in alone.reasons[1]


def test_a_vm_with_a_disk_goes_back_to_it_or_waits() -> None:
    two = (host("a", gpu(0x41)), host("b", gpu(0x41)))
    assert yes(place(asks(1, pinned_hosts=("b",)), fleet(*two))).host == "b"
    answer = no(place(asks(1, pinned_hosts=("b",)), fleet(*two, claims=(claim("b", "0000:41:00.0"),))))
    assert answer.nearest is not None
    assert (answer.reason, answer.nearest.host, answer.nearest.lacks) == ("InsufficientGPUs", "b", "1 free L40S")
    torn = no(place(asks(1, pinned_hosts=("a", "b")), fleet(*two)))
    assert torn.counts == {"PinnedElsewhere": 2}


def test_an_interrupted_start_takes_its_own_claims_again() -> None:
    gpus = (gpu(0x41), gpu(0x42))
    mine = (claim("a", "0000:42:00.0", owner="me"),)
    placed = yes(place(asks(1), fleet(host("a", *gpus, spec={"cordoned": True}), host("b", gpu(0x41)), claims=mine)))
    assert (placed.host, placed.gpus) == ("a", ("0000:42:00.0",))


def test_a_vm_does_not_stand_in_its_own_way() -> None:
    small = host("a", gpu(0x41), memory_mib=8 * 1024, cpus=4)
    known = commitment("a", owner="me", vcpus=4, memory_mib=6 * 1024, gpus=1)
    assert yes(place(asks(1, vcpus=4, memory_mib=6 * 1024), fleet(small, commitments=(known,)))).host == "a"


def test_vcpus_are_shared_where_no_gpu_waits_for_them() -> None:
    taken = commitment("a", vcpus=4)
    assert no(place(asks(1), fleet(host("a", gpu(0x41), cpus=4), commitments=(taken,)))).reason == "InsufficientCPUs"
    assert yes(place(asks(), fleet(host("a", cpus=4), commitments=(taken,)))).host == "a"
    labelled = host("a", gpu(0x41), cpus=4, labels={"hikube.cloud/vcpus-per-cpu": "2"})
    assert yes(place(asks(1), fleet(labelled, commitments=(taken,)))).host == "a"
    boxed = host("a", gpu(0x41), cpus=4, labels={"hikube.cloud/nested-emulation": "true"})
    assert yes(place(asks(1), fleet(boxed, commitments=(taken,)))).host == "a"


def test_a_guest_never_has_more_vcpus_than_its_host_has_cpus() -> None:
    assert no(place(asks(vcpus=8), fleet(host("a", cpus=4)))).sentence() == "1 host: 4 of 16 vCPUs free, 8 needed"


def test_models_are_counted_apart() -> None:
    both = (GpuNeed(L40S, 1, "L40S"), GpuNeed(H100, 2, "H100"))
    mixed = host("a", gpu(0x41), gpu(0x42, H100), gpu(0x43, H100))
    placed = yes(place(asks(gpus=both), fleet(mixed)))
    assert placed.gpu_names == (L40S, H100, H100)
    answer = no(place(asks(gpus=both), fleet(mixed, claims=(claim("a", "0000:43:00.0"),))))
    assert answer.sentence() == "1 host: 1 of 2 H100 free, 2 needed"
