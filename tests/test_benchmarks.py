"""The benchmarks run, with tiny numbers; and what they taught stays learned, counted in calls instead of in time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

pytest.importorskip("libvirt", reason="the libvirt binding is not installed")

from benchmarks import control_plane, fleet
from benchmarks.fleet_run import measure
from benchmarks.rig import Rig
from provisioner.clocks import SystemClock
from provisioner.lifecycle.queue import WorkQueue
from provisioner.model.gpu_host import GPUHost
from provisioner.model.virtual_machine import VirtualMachine

TIMEOUT_S = 60.0


@pytest.fixture
def rig(tmp_path: Path):
    made = Rig(tmp_path, vms=9)
    yield made
    made.close()


def test_the_control_plane_benchmark_prints_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    measured = control_plane.run(sizes=(1, 2), rounds=1)
    printed = capsys.readouterr().out
    assert set(measured) == {1, 2}
    assert all(one.raw_ms > 0 and one.writes > 0 for rounds in measured.values() for one in rounds)
    for head in ("hikube ms/VM", "raw ms/VM", "ratio", "CPU ratio", "writes/VM", "libvirt calls per VM", "growth:"):
        assert head in printed


def test_the_fleet_benchmark_prints_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    measured = fleet.run(sizes=(2, 8), stores=("memory",), rounds=1, start_vms=2)
    printed = capsys.readouterr().out
    assert set(measured) == {("memory", 2), ("memory", 8)}
    for head in ("virtual s", "CPU ms/VM", "passes/s", "writes/VM", "peak MiB", "growth, memory", "start: "):
        assert head in printed


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_jobs_of_many_hosts_run_side_by_side_in_virtual_time(store: str) -> None:
    few, many = measure(store=store, hosts=1, vms=4), measure(store=store, hosts=6, vms=24)
    assert many.virtual_s < 2 * few.virtual_s, "guests boot at the same time"
    assert many.writes / many.vms == pytest.approx(few.writes / few.vms, rel=0.2), "a VM's own writes, whatever the fleet"
    assert many.objects == 6 + 3 * 24 + 1


def test_a_fleet_goes_up_and_leaves_nothing(rig: Rig) -> None:
    rig.bring_up(timeout_s=TIMEOUT_S)
    machines = rig.store.list(VirtualMachine).items
    assert {vm.status.phase.value for vm in machines} == {"Ready"}
    assert len({(gpu.host, gpu.address) for vm in machines for gpu in vm.status.gpus}) == 9
    assert sorted(rig.defined) == sorted(f"hikube-default.{name}" for name in rig.names)
    rig.tear_down(timeout_s=TIMEOUT_S)
    assert rig.store.list(VirtualMachine).items == ()


def test_many_workers_plan_each_vm_once(rig: Rig) -> None:
    """Workers that plan on one snapshot choose the same GPU, and all but one have planned for nothing."""
    rig.bring_up(timeout_s=TIMEOUT_S)
    assert rig.store.creations["GPUClaim"] == len(rig.names)


def test_an_unchanged_object_is_parsed_once_however_often_it_is_listed(rig: Rig) -> None:
    before = rig.store.list(GPUHost).items
    changed = rig.store.update_status(before[0].with_status(reachable=not before[0].status.reachable))
    after = rig.store.list(GPUHost).items
    assert len(after) == len(before) == 2
    assert after[1] is before[1]
    assert after[0] is not before[0]
    assert after[0] == changed


def test_workers_that_wait_can_be_called_off() -> None:
    """A command that has what it waited for would otherwise wait for its idle workers too."""
    queue = WorkQueue(SystemClock())
    worker = threading.Thread(target=queue.wait_and_take, args=(TIMEOUT_S,), daemon=True)
    worker.start()
    for _ in range(1000):
        queue.wake_all()
        worker.join(timeout=0.01)
        if not worker.is_alive():
            break
    assert not worker.is_alive()
