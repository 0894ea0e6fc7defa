"""The benchmarks run, with tiny numbers; and what they taught stays learned, counted in calls instead of in time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

pytest.importorskip("libvirt", reason="the libvirt binding is not installed")

from benchmarks import control_plane
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
