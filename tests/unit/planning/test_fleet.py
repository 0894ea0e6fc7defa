"""What is free: the one sum that everything else relies on."""

from __future__ import annotations

import pytest

from provisioner.model.gpu_host import GpuState
from provisioner.model.sizing import GuestSize
from provisioner.model.virtual_machine import RunningSpec
from provisioner.planning.fleet import Fleet, HostView, commitment_of, gpu_state
from provisioner.planning.policy import PlacementPolicy
from tests.unit.planning.factory import H100, L40S, SIZE, assigned, claim, commitment, fleet, gpu, host, quarantined, vm

POLICY = PlacementPolicy()


def view(of: Fleet, *, for_uid: str = "") -> HostView:
    return of.views(policy=POLICY, for_uid=for_uid)[0]


def test_free_is_inventory_less_what_is_taken() -> None:
    where = host("a", gpu(0x41), gpu(0x42), gpu(0x43, H100), gpu(0x44), quarantined=quarantined("0000:44:00.0"))
    seen = view(
        fleet(
            where,
            claims=(claim("a", "0000:41:00.0"), claim("b", "0000:42:00.0")),
            commitments=(commitment("a", vcpus=4, memory_mib=10240, gpus=1), commitment("b", owner="far", memory_mib=9999)),
        )
    )
    assert seen.free_gpus == {L40S: 1, H100: 1}
    assert seen.all_gpus == {L40S: 3, H100: 1}
    assert seen.memory_mib == 255 * 1024
    assert seen.free_memory_mib == 255 * 1024 - (10240 + 192 + 4 * 8 + 64 + 20)
    assert seen.free_vcpus == 60


@pytest.mark.parametrize(
    ("is_claimed", "cordoned", "is_quarantined", "state"),
    [
        (False, False, False, GpuState.FREE),
        (True, False, False, GpuState.CLAIMED),
        (True, True, False, GpuState.DRAINING),
        (False, True, False, GpuState.FREE),
        (True, True, True, GpuState.QUARANTINED),
    ],
)
def test_the_state_of_a_gpu(is_claimed: bool, cordoned: bool, is_quarantined: bool, state: GpuState) -> None:
    facts = gpu(0x41)
    bad = quarantined(facts.address) if is_quarantined else ()
    where = host("a", facts, spec={"cordoned": cordoned}, quarantined=bad)
    assert gpu_state(facts, host=where, claim=claim("a", facts.address) if is_claimed else None) is state


def test_the_state_of_a_gpu_that_its_owner_has_let_go_of() -> None:
    facts = gpu(0x41)
    released = claim("a", facts.address, released_at="2026-11-21T12:00:00Z")
    assert gpu_state(facts, host=host("a", facts), claim=released) is GpuState.CLEANING
    bad = host("a", facts, quarantined=quarantined(facts.address))
    assert gpu_state(facts, host=bad, claim=released) is GpuState.QUARANTINED
    retired = host("a", facts, spec={"retired": (facts.address,)})
    assert gpu_state(facts, host=retired, claim=None) is GpuState.RETIRED


def test_a_vm_takes_the_larger_of_what_it_runs_with_and_what_it_asks_for() -> None:
    gpus = assigned("a", gpu(0x41))
    running = RunningSpec(vcpus=8, memory_mib=2048)
    known = commitment_of(vm(gpus=gpus, status={"host": "a", "running_spec": running}), size=SIZE)
    assert known is not None
    assert (known.host, known.vcpus, known.memory_mib, known.gpus) == ("a", 8, 4096, 1)
    assert commitment_of(vm(), size=GuestSize(1, 1, 1024)) is None


def test_memory_is_counted_on_the_node_of_the_gpus() -> None:
    where = host("a", gpu(0x41, node=0), gpu(0x81, node=1), memory_mib=100 * 1024, spec={"reserved_memory_mib": 0})
    nowhere, beside = commitment("a", owner="plain", memory_mib=10 * 1024), commitment("a", memory_mib=20 * 1024, gpus=1)
    seen = view(fleet(where, claims=(claim("a", "0000:81:00.0"),), commitments=(nowhere, beside)))
    node_0, node_1 = seen.free_memory_of_node_mib[0], seen.free_memory_of_node_mib[1]
    assert node_0 - node_1 == POLICY.committed_mib(memory_mib=20 * 1024, vcpus=0, gpus=1)
    assert abs(node_0 + node_1 - seen.free_memory_mib) <= 2


def test_the_order_of_what_is_given_does_not_matter() -> None:
    one, two = host("a", gpu(0x41)), host("b", gpu(0x41))
    claims = (claim("a", "0000:41:00.0"), claim("b", "0000:41:00.0"))
    assert Fleet.of([two, one], claims=reversed(claims)) == Fleet.of([one, two], claims=claims)
