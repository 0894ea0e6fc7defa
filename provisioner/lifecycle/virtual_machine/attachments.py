"""Which VM has a VMDisk: a disk serves one VM at a time, on one host, for as long as the VM lives or until its spec lets go.

A VM whose disks are not to be had waits before it claims anything: GPUs that wait for a disk are lost to everybody.
"""

from __future__ import annotations

from provisioner.lifecycle.disk_users import copier_of, user_name, user_of
from provisioner.lifecycle.pool_room import POOL_REASONS
from provisioner.lifecycle.verdicts import Abort, Retry
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.errors import NotFound
from provisioner.model.metadata import Key, find_condition
from provisioner.model.vm_disk import VMDisk

__all__ = ["disks_obstacle", "is_kept_for", "obstacle", "release_disks", "user_name", "user_of"]

WAIT_S = 5.0
WAITS_FOR_SOMEBODY = POOL_REASONS | {
    *("VolumeExists", "VolumeMissing", "HostMissing"),
    *("OriginMissing", "OriginNotReady", "OriginElsewhere", "OriginInUse", "OriginBeingCopied", "Copying"),
}
"""Reasons of a disk that is not ready and that may stay so for as long as it likes."""


def disks_obstacle(view: VirtualMachineView) -> Retry | Abort | None:
    """Why the VM cannot have its VMDisks yet, as a wait without end, or ever; None if it can."""
    try:
        reasons = [found for disk in view.disks if (found := obstacle(view, disk)) is not None]
    except NotFound as error:
        return Retry(WAIT_S, "DiskMissing", str(error), is_patient=True)
    return reasons[0] if reasons else None


def obstacle(view: VirtualMachineView, disk: VMDisk) -> Retry | Abort | None:
    """Why this VM cannot have that disk now."""
    name, user = disk.metadata.name, disk.status.used_by
    if disk.is_being_deleted and not is_kept_for(disk, view.resource.key):
        return Retry(WAIT_S, "DiskBeingDeleted", f"VMDisk `{name}` is being deleted", is_patient=True)
    if user not in ("", user_name(view.resource.key)) and user_of(disk, view.ports) is not None:
        return Retry(WAIT_S, "DiskInUse", f"VMDisk `{name}` is used by `{user}`", is_patient=True)
    if disk.spec.source.upload is not None and disk.status.phase != "Ready":
        return Retry(WAIT_S, "WaitingForUpload", f"the content of VMDisk `{name}` has not been uploaded yet", is_patient=True)
    copier = copier_of(disk, view.ports)
    if copier:
        return Retry(WAIT_S, "DiskBeingCopied", f"VMDisk `{name}` is being copied to VMDisk `{copier}`", is_patient=True)
    failed = find_condition(disk.status.conditions, "Ready")
    if disk.status.phase not in ("Ready", "Failed") and failed is not None and failed.reason in WAITS_FOR_SOMEBODY:
        return Retry(WAIT_S, failed.reason, f"VMDisk `{name}`: {failed.message}", is_patient=True)
    if disk.spec.source.disk is not None and not disk.status.host:
        return Retry(WAIT_S, "OriginNotReady", f"VMDisk `{name}` is a copy that is not made yet", is_patient=True)
    if disk.status.phase == "Failed":
        return Abort("DiskFailed", f"VMDisk `{name}` failed: {failed.message if failed else 'nobody knows why'}", is_final=True)
    return None


def is_kept_for(disk: VMDisk, key: Key) -> bool:
    """Whether the disk's deletion waits for that VM: it has the disk, and there is a volume that it may have data on."""
    return disk.status.used_by == user_name(key) and bool(disk.status.volume)


def release_disks(view: VirtualMachineView, *, but: frozenset[str] = frozenset()) -> None:
    """Let other VMs have the VMDisks that this one used, except those named."""
    me = user_name(view.resource.key)
    for disk in view.ports.store.list(VMDisk, namespace=view.resource.metadata.namespace).items:
        if disk.status.used_by == me and disk.metadata.name not in but:
            view.ports.store.update_status(disk.with_status(used_by=""))
