"""Every file in examples/ does what it says: valid at the door, and its VMs get to Ready and go again without a trace.

The VMs run on the simulated twins in virtual time, on hosts made for what the file asks for. What nobody reconciles yet is
refused plainly by `apply`, and accepted by `validate`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from cli.main import run
from provisioner.drivers.simulated.hardware import SimulatedGpu
from provisioner.drivers.simulated.presets import STAND_IN
from provisioner.model.documents import parse_documents
from provisioner.model.gpu_host import DEFAULT_GPU_RULE, GPUHost, GPUHostSpec, GpuRule
from provisioner.model.image import Image, ImageSpec
from provisioner.model.metadata import Metadata, Resource
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.model.vm_disk import VMDisk
from tests.documents import ROOT
from tests.lifecycle.world import World

FILES = sorted((ROOT / "examples").iterdir())
TABLES = Tables.builtin()
NOT_RECONCILED = ("Kubernetes", "KubernetesNodes")
HOST_URI = "simulated://twin"
MEMORY_MIB = 512 * 1024
POOL_BYTES = 8 * 1024**4
ANY_OF_THEM = (GpuRule(ids=(STAND_IN.id,)), DEFAULT_GPU_RULE)
OF_A_LAB = ImageSpec(url="file:///var/cache/lab-debian-13.qcow2", min_storage="2Gi")
"""`hikube lab create` makes this image; vm-gpu.yaml boots from it."""


def _resources(path: Path) -> list[Resource]:
    return list(parse_documents(path.read_text(), source=path.name, tables=TABLES))


def _with(kinds: Iterable[str]) -> list[Path]:
    return [path for path in FILES if any(resource.KIND in kinds for resource in _resources(path))]


def _command(monkeypatch: pytest.MonkeyPatch, home: Path, *arguments: str) -> int:
    for name in ("HOME", "HIKUBE_DATA_DIR", "HIKUBE_CACHE_DIR", "HIKUBE_CONFIG_DIR"):
        monkeypatch.setenv(name, str(home))
    return run(list(arguments))


each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
each_with_machines = pytest.mark.parametrize("path", _with(["VirtualMachine", "VMInstance"]), ids=lambda path: path.name)
each_not_reconciled = pytest.mark.parametrize("path", _with(NOT_RECONCILED), ids=lambda path: path.name)


@each_file
def test_it_is_valid(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _command(monkeypatch, tmp_path, "validate", "-f", str(path)) == 0


@each_file
def test_it_begins_by_saying_what_it_is_for(path: Path) -> None:
    assert path.read_text().startswith("# ")


@each_not_reconciled
def test_what_nobody_reconciles_is_refused_plainly(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _command(monkeypatch, tmp_path, "apply", "-f", str(path)) == 2
    assert "nothing reconciles node groups yet" in capsys.readouterr().err


@each_with_machines
def test_its_machines_get_ready_and_go_without_a_trace(path: Path, tmp_path: Path) -> None:
    wanted = _resources(path)
    world = _world_for(wanted, tmp_path)
    world.apply(re.sub(r"\buri: \S+", f"uri: {HOST_URI}", path.read_text())).settle()
    machines = world.machines()
    assert machines
    assert [machine.status.phase for machine in machines] == ["Ready"] * len(machines), world.summary()
    assert sum(len(machine.status.gpus) for machine in machines) == sum(len(machine.spec.gpus) for machine in machines) > 0

    for machine in machines:
        world.delete(machine.metadata.name, type(machine))
    world.run(lambda: not world.machines())
    for disk in world.store.list(VMDisk).items:
        world.delete(disk.metadata.name, VMDisk)
    world.run(lambda: not world.store.list(VMDisk).items)
    assert world.leaks() == []


def _world_for(wanted: list[Resource], directory: Path) -> World:
    """A world with one host that has exactly the GPUs asked for, and with the image that a lab would bring."""
    world = World(directory)
    machines = [resource for resource in wanted if isinstance(resource, VirtualMachine)]
    gpus = tuple(_gpu(request.name) for machine in machines for request in machine.spec.gpus)
    world.fleet.add_host("twin", gpus=gpus, memory_mib=MEMORY_MIB, cpus=64, pools={"default": POOL_BYTES})
    if not any(isinstance(resource, GPUHost) for resource in wanted):
        world.store.create(GPUHost(metadata=Metadata(name="twin"), spec=GPUHostSpec(uri=HOST_URI, gpu_rules=ANY_OF_THEM)))
    world.store.create(Image(metadata=Metadata(name="lab-debian-13"), spec=OF_A_LAB))
    return world


def _gpu(name: str) -> SimulatedGpu:
    model = TABLES.gpus.resolve(name)
    assert model is not None
    if model.is_stand_in:
        return STAND_IN
    smi_name = (*model.nvidia_smi_names, model.display_name)[0]
    return SimulatedGpu(id=model.ids[0], product=smi_name, memory_mib=model.memory_gib * 1024)
