"""Copies of VMDisks: a full copy on the origin's host, made while nothing writes to the origin.

    origin Ready -> its VM at rest -> origin marked (status.copiedTo) -> still at rest? -> copy -> unmark

The mark keeps VMs from starting with the origin, and the look at the VM keeps copies from starting under a VM. Each side writes
first and looks at the other's record afterwards, so of two that begin at once at least one gives way. A mark counts only while
the disk that it names is there and has no volume yet: a crash leaves nothing that holds a VM back for ever.
"""

from __future__ import annotations

from provisioner.drivers.volumes import Volume
from provisioner.lifecycle.background import Running
from provisioner.lifecycle.disk_users import copier_of, is_at_rest, user_of
from provisioner.lifecycle.pool_room import pool_obstacle
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.verdicts import Abort, Retry
from provisioner.lifecycle.vm_disk.view import VMDiskView
from provisioner.model import domain_names
from provisioner.model.errors import HikubeError, NotFound
from provisioner.model.quantities import format_bytes
from provisioner.model.vm_disk import VMDisk

WAIT_S = 10.0
POLL_S = 1.0


def origin_of(view: VMDiskView) -> VMDisk:
    """The disk that this one is a copy of, as it is now. Raises NotFound."""
    assert view.resource.spec.source.disk is not None
    return view.ports.store.get(VMDisk, view.resource.spec.source.disk.name, namespace=view.resource.metadata.namespace)


def origin_obstacle(view: VMDiskView) -> Retry | Abort | None:
    """Why the origin cannot be copied now; None if it can."""
    try:
        origin = origin_of(view)
    except NotFound as error:
        return Retry(WAIT_S, "OriginMissing", str(error), is_patient=True)
    name, status = origin.metadata.name, origin.status
    if status.host not in ("", view.resource.status.host):
        where = f"`{status.host}`, its copy on `{view.resource.status.host}`"
        return Retry(WAIT_S, "OriginElsewhere", f"VMDisk `{name}` is on host {where}", is_patient=True)
    other = copier_of(origin, view.ports)
    is_ours = other == view.resource.metadata.name  # then it stays as it is until the copy is made
    if not is_ours and (status.phase != "Ready" or origin.is_being_deleted):
        word = "being deleted" if origin.is_being_deleted else status.phase
        return Retry(WAIT_S, "OriginNotReady", f"VMDisk `{name}` is {word}", is_patient=True)
    if status.capacity_bytes > view.size_bytes:
        sizes = f"{format_bytes(status.capacity_bytes)}, the copy {format_bytes(view.size_bytes)}"
        return Abort("DiskTooSmall", f"VMDisk `{name}` has {sizes}", is_final=True)
    if other and not is_ours:
        return Retry(WAIT_S, "OriginBeingCopied", f"VMDisk `{name}` is being copied to `{other}` first", is_patient=True)
    return _in_use(origin, view.ports)


def copy_origin(view: VMDiskView) -> Volume | Retry | Abort:
    """The copy, once it is complete. Must be called only while there is none."""
    waiting = origin_obstacle(view)
    if waiting is not None:
        return waiting
    origin = origin_of(view)
    what = f"the copy of VMDisk `{origin.metadata.name}`"
    if not view.ports.background.is_under_way(_job(view)):
        full = pool_obstacle(view.volumes, view.pool, needed_bytes=view.size_bytes, what=what)
        if full is not None:
            unmark(view)
            return full
    _mark(origin, view.resource.metadata.name, view.ports)
    in_use = _in_use(origin, view.ports)
    if in_use is not None:
        unmark(view)
        return in_use
    return _copied(view, origin)


def unmark(view: VMDiskView) -> None:
    """Let VMs start with the origin again. Nothing to do where there is no mark of this disk."""
    if view.resource.spec.source.disk is None:
        return
    try:
        origin = origin_of(view)
    except NotFound:
        return
    if origin.status.copied_to == view.resource.metadata.name:
        _mark(origin, "", view.ports)


def forget_copy(view: VMDiskView) -> None:
    """The copy was found made, or is not wanted any more: the result of the job that made it is of no use."""
    if view.resource.spec.source.disk is not None:
        view.ports.background.forget(_job(view))


def is_copying(view: VMDiskView) -> bool:
    """Whether a copy is on its way in this process."""
    return view.resource.spec.source.disk is not None and view.ports.background.is_under_way(_job(view))


def _copied(view: VMDiskView, origin: VMDisk) -> Volume | Retry:
    volumes, pool, metadata = view.volumes, view.pool, view.resource.metadata
    volume, place = origin.status.volume, origin.status.pool or view.host.spec.storage_pool
    name = domain_names.disk_volume(metadata.namespace, metadata.name, ending=volume.rpartition(".")[2])

    try:
        outcome = view.ports.background.run(
            _job(view),
            lambda meter: volumes.clone(pool, name, origin=volume, origin_pool=place, progress=meter),
            waiter=view.key,
        )
    except HikubeError:
        unmark(view)  # nothing is being made any more, and another try may take its time
        raise
    if isinstance(outcome, Running):
        return Retry(POLL_S, "Copying", f"VMDisk `{origin.metadata.name}` {outcome.meter}".rstrip())
    return outcome.result


def _mark(origin: VMDisk, copied_to: str, ports: Ports) -> None:
    if origin.status.copied_to != copied_to:
        ports.store.update_status(origin.with_status(copied_to=copied_to))


def _in_use(origin: VMDisk, ports: Ports) -> Retry | None:
    user = user_of(origin, ports)
    if user is None or is_at_rest(user):
        return None
    message = f"VMDisk `{origin.metadata.name}` is used by `{origin.status.used_by}`; it is copied when that VM is stopped"
    return Retry(WAIT_S, "OriginInUse", message, is_patient=True)


def _job(view: VMDiskView) -> str:
    return f"copy to {view.key} {view.resource.metadata.uid} on {view.resource.status.host}"
