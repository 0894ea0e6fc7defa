"""The scene of the matrix in the twin: one L40S, and a VM that asks for it."""

from __future__ import annotations

from pathlib import Path

from provisioner.drivers.simulated.presets import ONE_L40S
from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.image import Image, ImageSpec
from provisioner.model.metadata import Metadata
from provisioner.model.virtual_machine import GpuRequest, SystemDisk, VirtualMachine, VirtualMachineSpec
from tests.crashes.simulated import Scene, SimulatedStage

VM = "mortal"
CARD = ("0000:41:00.0", "0000:41:00.1")
SCENE = Scene(
    image=Image(metadata=Metadata(name="golden"), spec=ImageSpec(url="https://images.example/golden.qcow2", sha256="ab" * 32)),
    host=GPUHost(metadata=Metadata(name="a"), spec=GPUHostSpec(uri="simulated://a")),
    vm=VirtualMachine(
        metadata=Metadata(name=VM, namespace="default"),
        spec=VirtualMachineSpec(
            instance_type="u1.large",
            gpus=(GpuRequest(name="nvidia.com/AD102GL_L40S"),),
            system_disk=SystemDisk(image="golden", storage="10Gi"),
        ),
    ),
)


def one_l40s(directory: Path) -> SimulatedStage:
    """A stage with that scene."""
    return SimulatedStage(directory, SCENE, hardware=ONE_L40S, cards=[CARD])
