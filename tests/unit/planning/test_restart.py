"""Which changes of a spec wait for a restart, in words."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.model.sizing import GuestSize
from provisioner.model.virtual_machine import DiskReference, GpuRequest, NetworkReference, SystemDisk
from provisioner.planning.restart import restart_required, running_spec_of
from tests.unit.planning.factory import H100, L40S, SIZE, vm, vm_disk

RUNNING = running_spec_of(vm(), size=SIZE)


def test_nothing_changed_needs_nothing() -> None:
    assert restart_required(RUNNING, vm(), size=SIZE) == ()
    assert restart_required(RUNNING, vm(ssh_keys=("ssh-ed25519 AAAA",), cloud_init="#cloud-config"), size=SIZE) == ()


@pytest.mark.parametrize(
    ("spec", "size", "reason"),
    [
        ({}, GuestSize(1, 4, 4096), "vcpus: 2 -> 4"),
        ({}, GuestSize(1, 2, 8192), "memory: 4 GiB -> 8 GiB"),
        ({"gpus": (GpuRequest(name=L40S),)}, SIZE, "gpus: 0 -> 1"),
        ({"system_disk": SystemDisk(storage="40Gi")}, SIZE, "disk system: 20Gi -> 40Gi"),
        ({"disks": (DiskReference(name="data"),)}, SIZE, "disk data: to be attached"),
        ({"networks": (NetworkReference(name="lan"),)}, SIZE, "networks: none -> lan"),
        ({"firmware": "efi"}, SIZE, "firmware: of its image -> efi"),
    ],
)
def test_each_change_has_a_sentence(spec: dict[str, Any], size: GuestSize, reason: str) -> None:
    assert restart_required(RUNNING, vm(**spec), size=size) == (reason,)


def test_another_model_is_named() -> None:
    running = running_spec_of(vm(gpus=(), **{}).model_copy(), size=SIZE).model_copy(update={"gpus": (L40S,)})
    wanted = vm().model_copy(update={"spec": vm().spec.model_copy(update={"gpus": (GpuRequest(name=H100),)})})
    assert restart_required(running, wanted, size=SIZE) == (f"gpus: {L40S} -> {H100}",)


def test_disks_that_go_grow_or_change_places() -> None:
    def of(*names: str) -> Any:
        return vm(system_disk=None, disks=tuple(DiskReference(name=name) for name in names))

    small, large = [vm_disk("one"), vm_disk("two")], [vm_disk("one"), vm_disk("two", storage="20Gi")]
    running = running_spec_of(of("one", "two"), size=SIZE, vm_disks=small)
    assert running.disks == ("one=10737418240", "two=10737418240")
    assert restart_required(running, of("one"), size=SIZE, vm_disks=small) == ("disk two: to be detached",)
    assert restart_required(running, of("one", "two"), size=SIZE, vm_disks=large) == ("disk two: 10Gi -> 20Gi",)
    assert restart_required(running, of("two", "one"), size=SIZE, vm_disks=small) == ("boot order: one, two -> two, one",)
    assert restart_required(running, of("one", "two"), size=SIZE) == ()
