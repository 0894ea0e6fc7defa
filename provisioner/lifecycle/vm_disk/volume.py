"""Step `volume`: the disk's own volume, as large as the spec says; and the way back, which may leave it where it is."""

from __future__ import annotations

from provisioner.drivers.volumes import Volume
from provisioner.lifecycle.disk_users import copier_of
from provisioner.lifecycle.images import base_of, digest_of, staged
from provisioner.lifecycle.pool_room import POOL_REASONS, pool_obstacle
from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.lifecycle.vm_disk.copying import copy_origin, forget_copy, is_copying, origin_of, unmark
from provisioner.lifecycle.vm_disk.view import VMDiskView
from provisioner.model import domain_names
from provisioner.model.errors import NotFound
from provisioner.model.metadata import find_condition
from provisioner.model.vm_disk import RECLAIM_ANNOTATION, RETAIN, UPLOADED_ANNOTATION, DiskOrigin
from provisioner.planning.refusals import memory_in_words

IN_USE_S = 10.0
MISSING_S = 60.0


def make_volume(view: VMDiskView) -> Verdict:
    """The volume exists with its size."""
    volume = view.volumes.find(view.pool, view.volume)
    if volume is None:
        if view.resource.status.capacity_bytes:
            message = f"volume `{view.volume}` is not in pool `{view.pool}` any more: somebody else removed it"
            return Retry(MISSING_S, "VolumeMissing", message, is_patient=True)
        made = _made(view)
        if not isinstance(made, Volume):
            return made
        volume = made
    forget_copy(view)
    view.write(volume=volume.name, origin=view.resource.status.origin or _origin(view))
    unmark(view)
    if volume.capacity_bytes < view.size_bytes and not view.resource.spec.optical:
        grown = _grown(view, volume)
        if isinstance(grown, Retry) and grown.reason not in POOL_REASONS:
            return grown
        volume = _noted(view, volume, grown)
    view.write(capacity_bytes=volume.capacity_bytes)
    return Done(volume.name)


def delete_volume(view: VMDiskView) -> Verdict:
    """The volume is gone, or stays because it shall, and then its name is told."""
    if is_copying(view):
        return Retry(IN_USE_S, "Copying", "a copy is under way; it is removed as soon as that has ended")
    forget_copy(view)
    unmark(view)
    status = view.resource.status
    if not status.host or not (status.pool or status.volume):
        return Done()
    if view.resource.metadata.annotations.get(RECLAIM_ANNOTATION) == RETAIN and status.volume:
        view.tell("VolumeRetained", f"volume `{status.volume}` stays in pool `{view.pool}` of host `{status.host}`")
    else:
        for name in sorted(_names(view)):
            view.volumes.delete(view.pool, name)
    view.write(volume="", capacity_bytes=0, origin=None, pool="")
    return Done()


def _names(view: VMDiskView) -> set[str]:
    """What is to be deleted: the volume, and what a copy or an upload may have begun in another format, out of sight."""
    source, metadata = view.resource.spec.source, view.resource.metadata
    if view.resource.status.volume or (source.disk is None and source.upload is None):
        return {view.volume}
    return {domain_names.disk_volume(metadata.namespace, metadata.name, ending=ending) for ending in domain_names.DISK_ENDINGS}


def _made(view: VMDiskView) -> Volume | Retry | Abort:
    source = view.resource.spec.source
    if source.disk is not None:
        return copy_origin(view)
    if source.upload is not None:
        return Retry(IN_USE_S, "WaitingForUpload", "what was uploaded has gone again")
    size_bytes, base = view.size_bytes, ""
    if view.image is not None:
        below = staged(view.image, view.hypervisor, pool=view.pool)
        if below is None:
            return Retry(IN_USE_S, "Staging", f"image `{view.image.metadata.name}` has left the pool and is brought again")
        base = base_of(view.image)
        size_bytes = below.capacity_bytes if view.resource.spec.optical else size_bytes
    full = pool_obstacle(view.volumes, view.pool, needed_bytes=size_bytes, what=f"VMDisk `{view.resource.metadata.name}`")
    return full or view.volumes.create(view.pool, view.volume, size_bytes=size_bytes, base=base)


def _grown(view: VMDiskView, volume: Volume) -> Volume | Retry:
    """Larger, which is possible only while nobody writes to it: half a change is harder to understand than none."""
    if view.is_in_a_running_guest:
        user = view.resource.status.used_by
        return Retry(IN_USE_S, "GrowsOnRestart", f"grows when `{user}` is stopped", is_patient=True)
    copier = copier_of(view.resource, view.ports)
    if copier:
        return Retry(IN_USE_S, "BeingCopied", f"grows when its copy `{copier}` is made", is_patient=True)
    more_bytes = view.size_bytes - volume.capacity_bytes
    what = f"growing VMDisk `{view.resource.metadata.name}` to {memory_in_words(view.size_bytes >> 20)}"
    full = pool_obstacle(view.volumes, view.pool, needed_bytes=more_bytes, what=what)
    return full or view.volumes.resize(view.pool, volume.name, size_bytes=view.size_bytes)


def _noted(view: VMDiskView, volume: Volume, grown: Volume | Retry) -> Volume:
    """The volume as it is now. One that finds no room to grow serves on in its old size, and says so."""
    if isinstance(grown, Retry):
        view.write(view.condition("Grown", "False", grown.reason, grown.message))
        return volume
    if find_condition(view.resource.status.conditions, "Grown") is not None:
        view.write(view.condition("Grown", "True", "Done"))
    return grown


def _origin(view: VMDiskView) -> DiskOrigin:
    """What the content was when it was taken."""
    source, now = view.resource.spec.source, view.ports.now()
    if source.upload is not None:
        digest, _, file = view.resource.metadata.annotations.get(UPLOADED_ANNOTATION, "").partition(" ")
        return DiskOrigin(source="upload", name=file, sha256=digest.removeprefix("sha256:"), taken=now)
    if source.disk is not None:
        try:
            uid = origin_of(view).metadata.uid
        except NotFound:
            uid = ""
        return DiskOrigin(source="disk", name=source.disk.name, uid=uid, taken=now)
    if source.http is not None or source.image is not None:
        sha256 = digest_of(view.image) if view.image is not None else ""
        if source.image is not None:
            return DiskOrigin(source="image", name=source.image.name, sha256=sha256, taken=now)
        assert source.http is not None
        return DiskOrigin(source="http", name=source.http.url, sha256=sha256, taken=now)
    return DiskOrigin(source="blank", taken=now)
