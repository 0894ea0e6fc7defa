"""The condition `GPUHealthy` of a VM that runs: whether one of its GPUs died under it. It is no step, and no step waits for it.

The host's own passes find a death and quarantine the GPU (lifecycle/gpu_health.py); here the VM says so, where its owner looks.
"""

from __future__ import annotations

from typing import Literal

from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.metadata import find_condition
from provisioner.planning.gpu_health import health_of

GPU_HEALTHY = "GPUHealthy"


def note_gpu_health(view: VirtualMachineView) -> None:
    """Write what the host's record says of the VM's GPUs; of a VM without any it is not known. Equal content costs nothing."""
    before = find_condition(view.resource.status.conditions, GPU_HEALTHY)
    if not view.resource.status.gpus:
        if before is not None:
            view.write(view.condition(GPU_HEALTHY, "Unknown", "NoGPU"))
        return
    health = health_of(view.resource.status.gpus, view.host)
    if not health.is_healthy and (before is None or before.status != "False" or before.message != health.message):
        view.tell("GPUDied", f"{health.message}; the VM runs on", warning=True)
    status: Literal["True", "False"] = "True" if health.is_healthy else "False"
    if before is None or (before.status, before.reason, before.message) != (status, health.reason, health.message):
        view.write(view.condition(GPU_HEALTHY, status, health.reason, health.message))
