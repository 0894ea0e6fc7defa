"""What VMs take of the hosts that their statuses name, claims or not: memory, vCPUs and GPUs."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.model.metadata import Key
from provisioner.model.sizing import GuestSize
from provisioner.model.virtual_machine import VirtualMachine


@dataclass(frozen=True, slots=True)
class Commitment:
    """What one VM takes of the host that its status names."""

    owner: Key
    owner_uid: str
    host: str
    vcpus: int
    memory_mib: int
    gpus: int = 0
    gpu_names: tuple[str, ...] = ()
    """The model of each, by canonical name; clusters count by them."""


def commitment_of(vm: VirtualMachine, *, size: GuestSize) -> Commitment | None:
    """What the VM takes, or None while it has no host: the larger of what it runs with and what its spec now asks for."""
    if not vm.status.host:
        return None
    running = vm.status.running_spec
    return Commitment(
        owner=vm.key,
        owner_uid=vm.metadata.uid,
        host=vm.status.host,
        vcpus=max(size.vcpus, running.vcpus if running else 0),
        memory_mib=max(size.memory_mib, running.memory_mib if running else 0),
        gpus=max(len(vm.spec.gpus), len(vm.status.gpus)),
        gpu_names=running.gpus if running else tuple(gpu.name for gpu in vm.spec.gpus),
    )
