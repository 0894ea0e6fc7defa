"""What `hikube disk upload` does on the host: the content of a VMDisk, sent from this machine, all of it or nothing in sight.

The control loop notes host and pool; then the disk waits (`WaitingForUpload`), and whoever has the file sends it to the volume
that the disk will have. That volume is not seen before it is complete, so an upload that breaks off leaves a disk
that waits. Doing the same again goes on where it broke off.
"""

from __future__ import annotations

from provisioner.drivers.images.uploads import UploadFile
from provisioner.drivers.volumes import Progress
from provisioner.lifecycle.pool_room import require_room
from provisioner.lifecycle.ports import Ports
from provisioner.model import domain_names
from provisioner.model.errors import Conflict, InvalidInput
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import find_condition
from provisioner.model.quantities import bytes_of, format_bytes
from provisioner.model.vm_disk import VMDisk
from provisioner.planning.refusals import memory_in_words


def refuse_misfit(disk: VMDisk, file: UploadFile) -> None:
    """Refuse a file that is not for this disk. Asks nobody.

    Raises:
        InvalidInput: the disk is not one to upload to, or too small for it.
    """
    name = disk.metadata.name
    if disk.spec.source.upload is None:
        raise InvalidInput(
            f"VMDisk {name} takes no upload",
            why=f"its source is {disk.spec.source.as_json() or 'blank'}",
            hint=f"`hikube disk create {name} --upload --size SIZE` makes one that does",
        )
    if file.virtual_size_bytes > bytes_of(disk.spec.storage):
        needs = memory_in_words(-(-file.virtual_size_bytes >> 20)) if file.virtual_size_bytes >= 1 << 20 else "1 MiB"
        raise InvalidInput(
            f"{file.path} does not fit on VMDisk {name}",
            why=f"a guest will see {needs} of it, and the disk has {disk.spec.storage}",
            hint=f"`hikube disk grow {name} {format_bytes(-(-file.virtual_size_bytes // 2**30) * 2**30)}`, then again",
            context={"neededBytes": file.virtual_size_bytes, "storage": disk.spec.storage},
        )


def awaits_upload(disk: VMDisk) -> bool:
    """Whether the disk has its place on a host, and only its content is missing."""
    content = find_condition(disk.status.conditions, "ContentReady")
    return bool(disk.status.pool) and content is not None and content.reason == "WaitingForUpload"


def send(disk: VMDisk, file: UploadFile, ports: Ports, *, sha256: str, progress: Progress | None = None) -> None:
    """Send the file, whose digest that is; the disk's volume is complete afterwards.

    Raises:
        Conflict: the disk does not wait for its content, or another upload overtook this one.
        NoCapacity: the pool has no room for it.
        HostUnreachable, HypervisorError: nothing is in sight; the same again goes on from there.
    """
    if not awaits_upload(disk):
        raise Conflict(f"{disk.key} does not wait for its content")
    host = ports.store.get(GPUHost, disk.status.host)
    volumes = ports.connector.connect(host.spec.uri).volumes
    require_room(volumes, disk.status.pool, needed_bytes=file.size_bytes, what=str(file.path))
    volumes.upload(
        disk.status.pool,
        _volume_for(disk, file),
        file.content(),
        size_bytes=file.size_bytes,
        identity=sha256,
        progress=progress,
    )


def _volume_for(disk: VMDisk, file: UploadFile) -> str:
    ending = "qcow2" if file.format == "qcow2" else "iso" if disk.spec.optical else "raw"
    return domain_names.disk_volume(disk.metadata.namespace, disk.metadata.name, ending=ending)
