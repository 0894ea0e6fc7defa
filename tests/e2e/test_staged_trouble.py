"""Everything that goes wrong with passthrough on real hosts, staged for real: named by its code, nothing hung, nothing leaked.

One VM is asked for again and again while something is in its way, and gets ready once nothing is. The operator's side is the
real command line; what the host is like is asked from its own sysfs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner import lab
from provisioner.model.gpu_host import GPUHost
from tests.e2e import staging
from tests.e2e.conftest import kept
from tests.e2e.operator import Operator
from tests.e2e.rig import Rig

REFUSED_S = 240.0
LOOK_EVERY_S = 10
"""The operator wants a host in trouble to be looked at often."""

BOOT_S = 900.0


@pytest.fixture
def operator(rig: Rig) -> Iterator[Operator]:
    """Somebody at a terminal, with the control loop beside."""
    rig.configure(refresh_interval_s=LOOK_EVERY_S)
    person = Operator(rig)
    with person.controlling():
        person.waits(lambda: bool(person.host().status.examined), until="examined")
        yield person


@pytest.mark.timeout(1500)
def test_what_is_in_the_way_is_named_and_the_next_vm_is_unharmed(operator: Operator) -> None:
    rig = operator.rig
    before = rig.drivers()
    gpu, companion = rig.gpu_functions()
    assert not any("error" in each for each in operator.doctor(exits=0))

    with staging.held_open(rig, "/dev/dri/card0"):
        assert "python3" in " ".join(operator.doctor(exits=9)["HK-DOC-207"])
        _refused(operator, "HK-DOC-207")
    with staging.without_reset(rig, gpu):
        assert gpu in " ".join(operator.doctor(exits=9)["HK-DOC-214"])
        _refused(operator, "HK-DOC-214")
    with staging.little_locked_memory(rig):
        assert "64 MiB" in " ".join(operator.doctor(exits=9)["HK-DOC-107"])
        _refused(operator, "HK-DOC-107")
    with staging.on_vfio(rig, (gpu, companion)), staging.second_qemu(rig, gpu):
        assert "qemu" in " ".join(operator.doctor(exits=9)["HK-DOC-207"])
        _refused(operator, "HK-DOC-207")
    assert rig.drivers() == before

    with staging.held_open(rig, "/dev/snd/controlC0", unseen=True):  # its driver waits for whoever has it open, for ever
        rig.apply()
        operator.waits(lambda: bool(operator.host().status.quarantined), until="quarantined", timeout_s=REFUSED_S)
        operator.waits(lambda: rig.drivers()[gpu] == before[gpu], until="given back, what lets itself be", timeout_s=REFUSED_S)
        _other_gpu_works(operator)
        rig.delete()
        operator.waits(lambda: not rig.store.read_raw("VirtualMachine"), until="deleted beside a device that hangs")
    operator.waits(operator.is_gone, until="given back")
    operator.types("gpu", "release", f"box/{gpu}")
    assert rig.drivers() == before

    rig.apply()
    operator.waits(operator.is_ready, until="ready", timeout_s=BOOT_S)
    process = _qemu_process(rig)
    said = staging.start_second_qemu(rig, gpu)
    assert "busy" in said.lower(), said
    rig.on_box("systemctl restart libvirtd")
    operator.types("host", "doctor", "box")
    assert operator.is_ready()
    assert _qemu_process(rig) == process, "the guest has not noticed anything"
    rig.delete()
    operator.waits(operator.is_gone, until="deleted")
    assert [leak for leak in rig.leaks() if "holder" not in leak] == []
    assert rig.drivers() == before


def _refused(operator: Operator, code: str) -> None:
    """A VM that is asked for now gets nothing, is told why, and goes without a trace."""
    rig = operator.rig
    drivers = rig.drivers()
    rig.apply()
    operator.waits(lambda: code in operator.says(), until=f"refused with {code}", timeout_s=REFUSED_S)
    rig.delete()
    operator.waits(operator.is_gone, until="deleted")
    assert rig.drivers() == drivers


def _other_gpu_works(operator: Operator) -> None:
    """The host is not stuck: it answers, and its other GPU is as free as before."""
    host: GPUHost = operator.host()
    quarantined = {entry.address for entry in host.status.quarantined}
    assert any(gpu.address not in quarantined for gpu in host.status.gpus)
    operator.types("host", "doctor", "box", exits=9)


def _qemu_process(rig: Rig) -> str:
    return rig.on_box("pgrep -f guest=hikube-default.mortal")


MERGED = lab.LabTopology("merged", (lab.LabHost("merged", memory_mib=2048, gpus=(lab.StandIn(), lab.StandIn()), acs=False),))
"""Two stand-ins that nothing isolates from each other; no guest ever runs there."""


@pytest.fixture
def merged(images: lab.LabImages, tmp_path: Path) -> Iterator[Rig]:
    """A host where ACS is missing."""
    for keeper in kept(MERGED, images, folder=tmp_path / "merged"):
        yield Rig(keeper.box(), images, tmp_path)


@pytest.mark.timeout(900)
def test_gpus_that_share_a_group_are_not_handed_out(merged: Rig) -> None:
    operator = Operator(merged)
    with operator.controlling():
        operator.waits(lambda: bool(operator.host().status.examined), until="examined")
        gpus = [gpu.address for gpu in operator.host().status.gpus]
        told = " ".join(operator.doctor(exits=9)["HK-DOC-204"])
        assert all(gpu in told for gpu in gpus)
        _refused(operator, "HK-DOC-204")
