"""Step `examine` of a host: what a look from inside changes for its GPUs, and what a look that fails does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.lifecycle.background import Finished, Inline, Meter, Running
from provisioner.model.errors import HostTimeout, HypervisorError
from provisioner.model.examination import HugepagePool
from provisioner.model.gpu_host import GpuFacts, GpuHealth, GPUHost, ResetPolicy
from provisioner.model.metadata import Key, find_condition
from tests.lifecycle.world import World, vm_yaml

T = TypeVar("T")
FIRST, SECOND = "0000:41:00.0", "0000:42:00.0"
REFRESH_S = 400


def _host(world: World) -> GPUHost:
    return world.store.get(GPUHost, "a")


def _gpu(world: World, address: str = FIRST) -> GpuFacts:
    return next(gpu for gpu in _host(world).status.gpus if gpu.address == address)


def _codes(world: World) -> set[tuple[str, str]]:
    return {(finding.code, finding.subject) for finding in _host(world).status.findings}


def _told(world: World, reason: str) -> list[str]:
    return [event.message for event in world.store.events() if event.reason == reason]


def _why_pending(world: World, name: str) -> tuple[str, str]:
    found = world.condition(name, "Scheduled")
    return (found.reason, found.message) if found is not None else ("", "")


def _change_spec(world: World, **changes: object) -> None:
    host = _host(world)
    world.store.update(host.model_copy(update={"spec": host.spec.model_copy(update=changes)}))


def test_what_was_seen_inside_is_written_down(world: World) -> None:
    pages = (HugepagePool(size_kib=1 << 20, node=0, total=8, free=6),)
    world.host("a", gpus=2)
    with world.fleet.host("a").peek() as state:
        state.inside.hugepages = pages
        state.inside.iommu_address_width_bits = 39
    world.settle()
    status = _host(world).status
    assert status.examined and status.boot_id
    assert status.iommu_address_width_bits == 39
    assert [(each.node, each.size_kib, each.total, each.free) for each in status.hugepages] == [(0, 1 << 20, 8, 6)]
    gpu = _gpu(world)
    assert gpu.bar_bytes and "flr" in gpu.reset_methods
    assert gpu.identity is not None and gpu.identity.serial
    assert gpu.identity != _gpu(world, SECOND).identity
    told = find_condition(status.conditions, "Examined")
    assert told is not None and (told.status, told.message) == ("True", "0 errors, 0 warnings, by simulated")


def test_a_sick_gpu_is_not_handed_out_and_the_refusal_names_the_code(world: World) -> None:
    world.host("a", gpus=2)
    world.fleet.host("a").set_reset_methods(FIRST)
    world.settle().apply(vm_yaml("first")).run(lambda: world.is_ready("first"))
    assert [gpu.address for gpu in world.vm("first").status.gpus] == [SECOND]
    assert _gpu(world).health_message.startswith("HK-DOC-214: ")
    world.apply(vm_yaml("second")).run(lambda: _why_pending(world, "second")[0] == "GPUsUnhealthy")
    assert "HK-DOC-214" in _why_pending(world, "second")[1]
    world.fleet.host("a").set_reset_methods(FIRST, "flr")
    world.run(lambda: world.is_ready("second"), timeout_s=REFRESH_S * 2)
    assert ("HK-DOC-214", FIRST) not in _codes(world)


def test_an_error_of_the_host_keeps_every_gpu(world: World) -> None:
    world.host("a", gpus=2)
    with world.fleet.host("a").peek() as state:
        state.inside.memlock_limit_mib = 0
    world.settle().apply(vm_yaml("first")).pass_time(60)
    assert _why_pending(world, "first")[1].endswith("(2 unhealthy: HK-DOC-107)")
    with world.fleet.host("a").peek() as state:
        state.inside.memlock_limit_mib = None
    world.run(lambda: world.is_ready("first"), timeout_s=REFRESH_S * 2)


def test_a_lab_may_go_on_without_kvm(world: World) -> None:
    world.host("a", kvm="absent")
    _change_spec(world, allow_emulation=True)
    world.apply(vm_yaml("first")).run(lambda: world.is_ready("first"))
    assert _codes(world) == {("HK-DOC-106", "host")}


def test_a_host_without_a_shell_is_used_only_with_best_effort(world: World) -> None:
    world.host("a")
    world.fleet.host("a").forbid_examination("no shell")
    world.settle().apply(vm_yaml("first")).pass_time(60)
    assert "HK-DOC-301" in _why_pending(world, "first")[1]
    assert _host(world).status.examined == ""
    _change_spec(world, reset_policy=ResetPolicy.BEST_EFFORT)
    world.run(lambda: world.is_ready("first"), timeout_s=REFRESH_S)
    assert _codes(world) == {("HK-DOC-301", "host")}


@pytest.mark.parametrize("error", [HostTimeout("no answer"), HypervisorError("the probe printed nonsense")])
def test_an_examination_that_fails_is_a_finding_and_no_dead_host(world: World, error: Exception) -> None:
    world.host("a").settle()
    identity = _gpu(world).identity
    world.fleet.faults.stage(Fault(error, call="inventory.examine", times=10**6))
    world.pass_time(REFRESH_S)
    assert _codes(world) == {("HK-DOC-302", "host")}
    host = _host(world)
    assert host.status.reachable and _gpu(world).health is GpuHealth.OK and _gpu(world).identity == identity
    world.fleet.faults.clear()
    world.apply(vm_yaml("first")).run(lambda: world.is_ready("first"))
    world.pass_time(REFRESH_S)
    assert _codes(world) == set()


class NeverExamines(Inline):
    """Examinations never come back; everything else is done at once."""

    def run(self, name: str, job: Callable[[Meter], T], *, waiter: Key | None = None) -> Running | Finished[T]:
        return Running(Meter()) if name.startswith("examine ") else super().run(name, job)

    def is_under_way(self, name: str) -> bool:
        return name.startswith("examine ")


class TakesItsTime(Inline):
    """Examinations are under way when they are asked about for the first time, and have ended the second time."""

    def __init__(self) -> None:
        self.begun: set[str] = set()

    def run(self, name: str, job: Callable[[Meter], T], *, waiter: Key | None = None) -> Running | Finished[T]:
        if name.startswith("examine ") and name not in self.begun:
            self.begun.add(name)
            return Running(Meter())
        self.begun.discard(name)
        return super().run(name, job)

    def is_under_way(self, name: str) -> bool:
        return name in self.begun


def test_a_host_that_is_looked_at_once_more_stays_ready(world: World) -> None:
    world.ports = replace(world.ports, background=TakesItsTime())
    world.start_controller()
    world.host("a").settle()
    ready = find_condition(_host(world).status.conditions, "Ready")
    examined, seen = _host(world).status.examined, _host(world).status.last_seen
    world.pass_time(REFRESH_S)
    assert _host(world).status.examined > examined and _host(world).status.last_seen > seen
    assert find_condition(_host(world).status.conditions, "Ready") == ready


def test_an_examination_that_never_returns_is_given_up_and_the_host_goes_on(world: World) -> None:
    world.ports = replace(world.ports, background=NeverExamines())
    world.start_controller()
    world.host("a").run(lambda: bool(_host(world).status.findings), timeout_s=90)
    world.apply(vm_yaml("first")).run(lambda: world.is_ready("first"))
    (finding,) = _host(world).status.findings
    assert (finding.code, finding.message) == ("HK-DOC-302", "it did not return within 60 s")
    seen = _host(world).status.last_seen
    world.run(
        lambda: _host(world).status.last_seen != seen and world.store.get(GPUHost, "a").status.reachable, timeout_s=REFRESH_S
    )
    settled = find_condition(_host(world).status.conditions, "Ready")
    assert settled is not None and settled.status == "True"


def test_what_was_found_stays_while_nobody_can_look(world: World) -> None:
    world.host("a")
    world.fleet.host("a").set_reset_methods(FIRST)
    world.settle()
    world.fleet.faults.stage(Fault(HostTimeout("hangs"), call="inventory.examine", times=10**6))
    world.pass_time(REFRESH_S)
    assert _codes(world) == {("HK-DOC-302", "host"), ("HK-DOC-214", FIRST)}
    assert _gpu(world).health is GpuHealth.UNUSABLE


def test_a_host_that_was_booted_is_told_of(world: World) -> None:
    world.host("a").settle()
    before = _host(world).status.boot_id
    world.fleet.host("a").reboot()
    world.run(lambda: _host(world).status.boot_id != before, timeout_s=REFRESH_S)
    (told,) = _told(world, "HostRebooted")
    assert before in told and _host(world).status.boot_id in told


def test_a_swapped_card_is_quarantined_with_both_names(world: World) -> None:
    world.host("a", gpus=2).settle()
    before = _gpu(world).identity
    world.fleet.host("a").swap(FIRST, subsystem_device="1999")
    world.run(lambda: bool(_host(world).status.quarantined), timeout_s=REFRESH_S)
    (entry,) = _host(world).status.quarantined
    assert (entry.address, entry.cause) == (FIRST, "Swapped")
    assert before is not None and before.name in entry.reason and "1999" in entry.reason
    assert _gpu(world).identity == before
    world.pass_time(REFRESH_S)
    assert len(_told(world, "GPUQuarantined")) == 1
    world.apply(vm_yaml("first")).run(lambda: world.is_ready("first"))
    assert [gpu.address for gpu in world.vm("first").status.gpus] == [SECOND]


def test_an_identity_that_was_read_without_its_serial_is_completed(world: World) -> None:
    world.host("a")
    with world.fleet.host("a").peek() as state:
        serial, state.functions[FIRST].serial = state.functions[FIRST].serial, ""
    world.settle()
    known = _gpu(world).identity
    assert known is not None and known.serial == ""
    with world.fleet.host("a").peek() as state:
        state.functions[FIRST].serial = serial
    world.pass_time(REFRESH_S)
    completed = _gpu(world).identity
    assert completed is not None and completed.serial == serial
    assert _host(world).status.quarantined == ()


def test_a_running_vm_is_no_trouble_to_the_doctor(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle().pass_time(REFRESH_S)
    assert _codes(world) == set()
    assert _gpu(world).health is GpuHealth.OK


def test_findings_outlast_a_survey_until_the_next_examination(world: World) -> None:
    world.host("a")
    world.fleet.host("a").set_reset_methods(FIRST)
    world.settle()
    world.fleet.faults.stage(Fault(HostTimeout("gone for a moment"), call="subscribe", times=1))
    world.start_controller()
    world.pass_time(60)
    assert _gpu(world).health is GpuHealth.UNUSABLE
    assert ("HK-DOC-214", FIRST) in _codes(world)


def test_a_vm_gets_its_gpu_soon_after_whoever_held_it_has_gone(world: World) -> None:
    world.host("a").fleet.host("a").hold(FIRST, by="python3 (pid 7)")
    world.settle()
    world.apply(vm_yaml("first"))
    world.run(lambda: "HK-DOC-207" in _why_pending(world, "first")[1], timeout_s=60)
    world.fleet.host("a").hold(FIRST, by="")
    world.run(lambda: world.is_ready("first"), timeout_s=120)  # far less than the host's refresh interval
