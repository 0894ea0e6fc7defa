"""Real passthrough: a VM with a GPU and its companion, proven from both sides, and a clean return, whatever happens."""

from __future__ import annotations

import signal
import threading

import pytest

from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.model.metadata import find_condition
from tests.e2e.rig import Rig

STEPS = [step.name for step in VIRTUAL_MACHINE.steps]
KILLED_AFTER = STEPS[:-1]
"""Every step but the last: when that has finished the VM is Ready, and being killed then is the start of the deletion below."""


def _is_ready(rig: Rig) -> bool:
    found = find_condition(rig.vm().status.conditions, "Ready")
    return found is not None and found.status == "True"


@pytest.mark.timeout(1500)
def test_a_vm_gets_its_gpu_and_gives_it_back_though_the_controller_is_killed_after_every_step(rig: Rig) -> None:
    before = rig.drivers()
    assert "vfio-pci" not in before.values()
    rig.apply()
    for step in KILLED_AFTER:
        run = rig.control(f"after:{step}")
        assert run.was_killed, f"{step}: {run.lines}"
    assert rig.control().returncode == 0
    assert _is_ready(rig)
    vm = rig.vm()
    assert vm.status.consecutive_failures == 0
    gpu, companion = rig.gpu_functions()
    assert vm.status.gpus[0].address == gpu
    assert vm.status.gpus[0].companions == (companion,)
    assert vm.status.gpus[0].guest_address, "the guest has said where it sees the GPU"
    assert rig.drivers() == {gpu: "vfio-pci", companion: "vfio-pci"}
    rig.delete()
    for step in reversed(STEPS):
        run = rig.control(f"undone:{step}")
        assert run.was_killed, f"{step}: {run.lines}"
    assert rig.control().returncode == 0
    assert rig.leaks() == []
    assert rig.drivers() == before


@pytest.mark.timeout(900)
def test_libvirtd_restarted_and_the_host_away_for_a_minute_only_delay(rig: Rig) -> None:
    before = rig.drivers()
    rig.apply()
    process = rig.start()
    _wait_for(lambda: find_condition(rig.vm().status.conditions, "DevicesBound") is not None, timeout_s=300)
    rig.on_box("systemctl restart libvirtd")
    _wait_for(lambda: _holds(rig, "Started"), timeout_s=300)
    rig.box.signal(signal.SIGSTOP)
    _pause(60)
    rig.box.signal(signal.SIGCONT)
    assert rig.finish(process).returncode == 0
    assert _is_ready(rig)
    assert rig.vm().status.consecutive_failures == 0
    rig.delete()
    assert rig.control().returncode == 0
    assert rig.leaks() == []
    assert rig.drivers() == before


@pytest.mark.timeout(900)
@pytest.mark.parametrize("step", ["reserve", "disk", "bind", "start"])
def test_a_deletion_completes_wherever_the_creation_was_killed(rig: Rig, step: str) -> None:
    before = rig.drivers()
    rig.apply()
    assert rig.control(f"after:{step}").was_killed
    rig.delete()
    assert rig.control().returncode == 0
    assert rig.leaks() == []
    assert rig.drivers() == before


def _holds(rig: Rig, condition: str) -> bool:
    found = find_condition(rig.vm().status.conditions, condition)
    return found is not None and found.status == "True"


def _pause(duration_s: float) -> None:
    """Let the outage last: what is waited for here is time itself."""
    threading.Event().wait(duration_s)


def _wait_for(done: object, *, timeout_s: float) -> None:
    from provisioner.clocks import SystemClock

    clock = SystemClock()
    deadline = clock.monotonic_s() + timeout_s
    while not done():  # type: ignore[operator]
        assert clock.monotonic_s() < deadline, "it did not happen in time"
        threading.Event().wait(0.2)
