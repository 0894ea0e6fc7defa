"""The crash matrix on a real libvirtd with a real QEMU, as far as it goes without a GPU and without a guest that boots.

The whole of it, with vfio-pci and a guest that proves its GPU, is in tests/e2e; here every call that the steps up to the start
make, and every one that undoes them, is held to be what the twin says.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.clocks import SystemClock, SystemIdentifiers
from provisioner.drivers.libvirt import LibvirtConnector
from provisioner.drivers.simulated.hardware import SimulatedHardware
from provisioner.lifecycle.steps import nothing
from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.model.clock import timestamp
from provisioner.model.gpu_host import GPUHost, GPUHostSpec, KvmVerdict
from provisioner.model.image import Image, ImageSpec
from provisioner.model.metadata import Metadata
from provisioner.model.virtual_machine import Resources, SystemDisk, VirtualMachine, VirtualMachineSpec
from provisioner.store.open import open_store
from provisioner.store.sqlite.store import SqliteStore
from tests.crashes.moments import BACKWARDS, FORWARDS
from tests.crashes.outcome import Eyes
from tests.crashes.play import differences, play
from tests.crashes.real import RealStage
from tests.crashes.simulated import Scene, SimulatedStage
from tests.disk_images import qcow2
from tests.libvirt.mortal_controller import VM
from tests.libvirt.private_daemon import PrivateDaemon

MIB = 1024**2
LIFE_LIMIT_S = 60
LAN = "lan"
WITHOUT_A_GUEST = FORWARDS[: [moment.step for moment in FORWARDS].index("start") + 1]
THAT_UNDO = [moment for moment in BACKWARDS if VIRTUAL_MACHINE.by_name[moment.step].undo is not nothing]
PAST_THE_HOST = ["undone:reserve"]
"""A VM without a GPU has nothing more to undo once its disk is gone, and with it what binds it to its host."""
NO_GPUS = SimulatedHardware(gpus=(), networks=(LAN,), kvm="absent", has_iommu=False)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return open_store(tmp_path / "hikube.db", clock=SystemClock(), identifiers=SystemIdentifiers())


def _scene(store: SqliteStore, daemon: PrivateDaemon, directory: Path) -> Scene:
    """One host that may emulate, one image that boots nothing, and a VM from it."""
    content = qcow2(64 * MIB)
    file = directory / "golden.qcow2"
    file.write_bytes(content)
    spec = ImageSpec(url=file.as_uri(), sha256=hashlib.sha256(content).hexdigest())
    image = store.create(Image(metadata=Metadata(name="golden"), spec=spec))
    host_spec = GPUHostSpec(uri=daemon.uri, allow_emulation=True, network=LAN, reserved_memory_mib=0)
    host = store.create(GPUHost(metadata=Metadata(name="here"), spec=host_spec))
    known = KvmVerdict(works=False, message="not asked", checked=timestamp(SystemClock().now_s()))
    store.update_status(host.with_status(kvm=known))  # to prove it takes a minute, and is proven elsewhere
    vm = VirtualMachineSpec(
        instance_type="",
        resources=Resources(cpu=1, sockets=1, memory="64Mi"),
        system_disk=SystemDisk(image="golden", storage="4Gi"),
    )
    return Scene(image, host, VirtualMachine(metadata=Metadata(name=VM, namespace="default"), spec=vm))


@pytest.mark.timeout(300)
def test_every_step_that_needs_no_guest_leaves_what_the_twin_leaves(
    tmp_path: Path, daemon: PrivateDaemon, connector: LibvirtConnector, store: SqliteStore
) -> None:
    scene = _scene(store, daemon, tmp_path)

    def control(where: str) -> int:
        argv = [sys.executable, "-m", "tests.libvirt.mortal_controller", str(tmp_path / "hikube.db"), str(tmp_path), where]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LIFE_LIMIT_S, check=False)
        print(f"{where}\n{done.stdout}{done.stderr}")
        return done.returncode

    eyes = Eyes(store, lambda: connector.connect(daemon.uri), name=VM, network=LAN)
    here = RealStage(store, eyes, make=lambda: store.create(scene.vm), control=control)
    twin = SimulatedStage(tmp_path / "twin", scene, hardware=NO_GPUS, cards=[], boots=False)
    real, simulated = (
        play(stage, forwards=WITHOUT_A_GUEST, backwards=THAT_UNDO, homewards=(), stops_short=True) for stage in (here, twin)
    )
    assert real.survived == simulated.survived == PAST_THE_HOST
    assert differences(real, simulated, names=("real", "simulated")) == []
