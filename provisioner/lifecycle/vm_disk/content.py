"""Step `content`: what the disk starts from is on the host, and nothing else lies there under the disk's name.

    name free? -> pool noted -> base image staged | origin ready and at rest | uploaded by somebody | nothing to bring

A volume that lies there before the pool was noted is not ours: it was left by an earlier disk of the same name, and its content
is somebody's data. It is neither used nor overwritten unless the user says so.
"""

from __future__ import annotations

from provisioner.lifecycle.background import Meter
from provisioner.lifecycle.images import stage
from provisioner.lifecycle.pool_room import pool_obstacle
from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.lifecycle.vm_disk.copying import origin_obstacle
from provisioner.lifecycle.vm_disk.view import VMDiskView
from provisioner.model.quantities import format_bytes
from provisioner.model.vm_disk import ADOPT_ANNOTATION
from provisioner.planning.refusals import memory_in_words

WAIT_S = 60.0
POLL_S = 1.0


def bring_content(view: VMDiskView) -> Verdict:
    """What the disk starts from is there, and is not larger than the disk."""
    if view.resource.status.origin is not None:
        return Done(view.resource.status.origin.source)
    waiting = _note_pool(view)
    if waiting is not None:
        return waiting
    if view.resource.status.capacity_bytes:
        return Done("on its volume already")  # made before origins were noted, or by another store
    source = view.resource.spec.source
    if source.upload is not None:
        return _uploaded(view)
    if source.disk is not None:
        return origin_obstacle(view) or Done(f"VMDisk {source.disk.name}")
    return _staged(view) if view.image is not None else Done("blank")


def too_small(what: str, *, needs_bytes: int, has_bytes: int) -> Abort:
    """The verdict on content that does not fit on its disk."""
    return Abort(
        "DiskTooSmall", f"{what} needs {format_bytes(needs_bytes)}, the disk has {format_bytes(has_bytes)}", is_final=True
    )


def _note_pool(view: VMDiskView) -> Retry | None:
    status = view.resource.status
    if status.pool:
        return None
    if status.volume:
        view.write(pool=view.pool)  # made before pools were noted
        return None
    waiting = pool_obstacle(view.volumes, view.pool, needed_bytes=0, what="the disk")
    if waiting is not None:
        return waiting
    there = view.volumes_there()
    if there and view.resource.metadata.annotations.get(ADOPT_ANNOTATION) != "true":
        message = f"volume `{there[0].name}` of an earlier disk lies in pool `{view.pool}`; remove it there, or adopt it"
        return Retry(WAIT_S, "VolumeExists", message, is_patient=True)
    view.write(pool=view.pool, volume=there[0].name if there else "")
    return None


def _uploaded(view: VMDiskView) -> Verdict:
    there = view.volumes_there()
    if not there:
        name = view.resource.metadata.name
        return Retry(WAIT_S, "WaitingForUpload", f"its content is not there yet: `hikube disk upload {name} FILE`")
    if there[0].capacity_bytes > view.size_bytes:
        return too_small("what was uploaded", needs_bytes=there[0].capacity_bytes, has_bytes=view.size_bytes)
    view.write(volume=there[0].name)
    return Done(f"uploaded: a disk of {memory_in_words(there[0].capacity_bytes >> 20)}")


def _staged(view: VMDiskView) -> Verdict:
    image = view.image
    assert image is not None
    outcome = stage(image, view.host, view.hypervisor, view.ports, pool=view.pool, waiter=view.key)
    if isinstance(outcome, Meter):
        return Retry(POLL_S, "Staging", f"image `{image.metadata.name}` {outcome}".rstrip())
    if outcome.capacity_bytes > view.size_bytes:
        return too_small(f"image `{image.metadata.name}`", needs_bytes=outcome.capacity_bytes, has_bytes=view.size_bytes)
    return Done(outcome.name)
