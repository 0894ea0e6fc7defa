"""Real passthrough: a VM with a GPU and its companion, proven from both sides, and a clean return, whatever happens.

What is there after each death of the controller is looked at twice: through sysfs and virsh of the host, and through the driver
by the eyes that look at the twin too; the twin lives through the same, and both must have shown the same at every moment.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from provisioner.drivers.libvirt import LibvirtConnector
from provisioner.drivers.simulated.presets import LAB, STAND_IN
from provisioner.model.metadata import find_condition
from tests.crashes.moments import Moment
from tests.crashes.outcome import Eyes
from tests.crashes.play import Played, differences, play
from tests.crashes.real import RealStage
from tests.crashes.simulated import Scene, SimulatedStage
from tests.e2e.rig import Rig
from tests.libvirt.mortal_controller import VM

TWIN = replace(LAB, gpus=(STAND_IN,))
TWINS_CARD = ("0000:41:00.0", "0000:41:00.1")
AWAY_S = 60.0


@pytest.fixture
def connector() -> Iterator[LibvirtConnector]:
    """Of the eyes; controllers have their own."""
    made = LibvirtConnector()
    yield made
    made.close()


@pytest.fixture
def stage(rig: Rig, connector: LibvirtConnector) -> RealStage:
    """The box, as a stage."""
    eyes = Eyes(rig.store, lambda: connector.connect(rig.box.uri), name=VM, cards=[rig.gpu_functions()])
    return RealStage(rig.store, eyes, make=rig.apply, control=lambda where: rig.control(where).returncode)


@pytest.mark.timeout(1500)
def test_a_vm_gets_its_gpu_and_gives_it_back_though_everything_goes_wrong(rig: Rig, stage: RealStage, tmp_path: Path) -> None:
    """The controller is killed after every step, libvirtd restarted in the middle, the host silent for a minute."""
    before = rig.drivers()
    assert "vfio-pci" not in before.values()
    real = play(stage, before=partial(_trouble_before, rig=rig), when_up=partial(_is_proven_from_both_sides, rig))
    assert len(real.survived) <= 1, real.survived  # another worker may have been that quick
    assert rig.leaks() == []
    assert rig.drivers() == before
    assert differences(real, _twins(rig, stage, tmp_path), names=("real", "simulated")) == []


def _is_proven_from_both_sides(rig: Rig) -> None:
    vm = rig.vm()
    ready = find_condition(vm.status.conditions, "Ready")
    assert ready is not None and ready.status == "True"
    assert vm.status.consecutive_failures == 0
    gpu, companion = rig.gpu_functions()
    assert vm.status.gpus[0].address == gpu
    assert vm.status.gpus[0].companions == (companion,)
    assert vm.status.gpus[0].guest_address, "the guest has said where it sees the GPU"
    assert rig.drivers() == {gpu: "vfio-pci", companion: "vfio-pci"}


def _twins(rig: Rig, stage: RealStage, directory: Path) -> Played:
    """What the twin of the box shows when the same befalls it, but for the troubles, which must not show."""
    scene = Scene.of(rig.store, stage.vm)
    return play(SimulatedStage(directory / "twin", scene, hardware=TWIN, cards=[TWINS_CARD]))


def _trouble_before(moment: Moment, rig: Rig) -> None:
    if moment == Moment("after", "start"):
        rig.on_box("systemctl restart libvirtd")
    if moment == Moment("after", "address"):
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
