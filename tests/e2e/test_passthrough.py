"""Real passthrough: a VM with a GPU and its companion, proven from both sides, and a clean return, whatever happens."""

from __future__ import annotations

import signal
import threading

import pytest

from provisioner.lifecycle.gpu_claim.table import GPU_CLAIM
from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.model.metadata import find_condition
from tests.e2e.rig import Rig

STEPS = [step.name for step in VIRTUAL_MACHINE.steps]
KILLED_AFTER = STEPS[:-1]
"""Every step but the last: when that has finished the VM is Ready, and being killed then is the start of the deletion below."""

CLEANING = [step.name for step in GPU_CLAIM.steps]
AWAY_S = 60.0


def _is_ready(rig: Rig) -> bool:
    found = find_condition(rig.vm().status.conditions, "Ready")
    return found is not None and found.status == "True"


@pytest.mark.timeout(1500)
def test_a_vm_gets_its_gpu_and_gives_it_back_though_everything_goes_wrong(rig: Rig) -> None:
    """The controller is killed after every step, libvirtd restarted in the middle, the host silent for a minute."""
    before = rig.drivers()
    assert "vfio-pci" not in before.values()
    rig.apply()
    for step in KILLED_AFTER:
        _trouble_before(step, rig)
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
    runs = [rig.control(f"after:{step}") for step in CLEANING]
    passed_before_a_kill = [run.lines for run in runs if not run.was_killed]  # another worker may have been that quick
    assert len(passed_before_a_kill) <= 1, passed_before_a_kill
    assert rig.control().returncode == 0
    assert rig.leaks() == []
    assert rig.drivers() == before


def _trouble_before(step: str, rig: Rig) -> None:
    if step == "start":
        rig.on_box("systemctl restart libvirtd")
    if step == "address":
        rig.box.signal(signal.SIGSTOP)
        process = rig.start("after:start")  # meets a host that does not answer
        _pause(AWAY_S)
        assert process.poll() is None, "a host that is away is waited for"
        rig.box.signal(signal.SIGCONT)
        process.kill()
        rig.finish(process)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("step", ["bind", "start"])
def test_a_deletion_completes_wherever_the_creation_was_killed(rig: Rig, step: str) -> None:
    before = rig.drivers()
    rig.apply()
    assert rig.control(f"after:{step}").was_killed
    rig.delete()
    assert rig.control().returncode == 0
    assert rig.leaks() == []
    assert rig.drivers() == before


def _pause(duration_s: float) -> None:
    """Let the outage last: what is waited for here is time itself."""
    threading.Event().wait(duration_s)
