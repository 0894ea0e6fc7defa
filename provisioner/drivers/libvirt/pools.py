"""Storage pools and their volumes: what the volume driver is made of, one libvirt object at a time.

libvirt keeps a list of each pool's volumes and learns of files that were made behind its back only when the pool is refreshed.
"""

from __future__ import annotations

from xml.etree import ElementTree

import libvirt

from provisioner.drivers.libvirt import upload_mark
from provisioner.drivers.libvirt.errors import code_of, is_not_found
from provisioner.drivers.volumes import PoolSpace, Volume

_BUSY = frozenset({libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_OPERATION_INVALID})
_RACED = frozenset({libvirt.VIR_ERR_STORAGE_VOL_EXIST, libvirt.VIR_ERR_OPERATION_FAILED, libvirt.VIR_ERR_INTERNAL_ERROR})


def find(pool: libvirt.virStoragePool, name: str) -> Volume | None:
    """The volume if it is complete, or None; looks through the pool again if it is not found at first."""
    volume = lookup(pool, name)
    if volume is None:
        refresh(pool)
        volume = lookup(pool, name)
    if volume is None or upload_mark.is_on(pool, name):
        return None
    return read_if_there(volume)


def lookup(pool: libvirt.virStoragePool, name: str) -> libvirt.virStorageVol | None:
    """libvirt's object of that name, complete or not, or None."""
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if is_not_found(error):
            return None
        raise


def refresh(pool: libvirt.virStoragePool) -> bool:
    """Let libvirt look through the pool again; False if it refuses, as it does while a volume is being built there."""
    try:
        pool.refresh(0)
    except libvirt.libvirtError as error:
        if code_of(error) not in _BUSY:
            raise
        return False
    return True


def read(volume: libvirt.virStorageVol) -> Volume:
    """What a volume is now."""
    root = ElementTree.fromstring(volume.XMLDesc())  # noqa: S314  written by libvirtd
    return Volume(
        name=root.findtext("name", ""),
        path=root.findtext("target/path", ""),
        capacity_bytes=int(root.findtext("capacity", "0")),
        allocation_bytes=int(root.findtext("allocation", "0")),
    )


def read_if_there(volume: libvirt.virStorageVol) -> Volume | None:
    """What a volume is now, or None if it has gone."""
    try:
        return read(volume)
    except libvirt.libvirtError as error:
        if is_not_found(error):
            return None
        raise


def space(pool: libvirt.virStoragePool) -> PoolSpace:
    """What the pool has to give; nothing if it is not active."""
    if not pool.isActive():
        return PoolSpace(is_active=False, capacity_bytes=0, available_bytes=0)
    refresh(pool)
    _, capacity, _, available = pool.info()
    return PoolSpace(is_active=True, capacity_bytes=int(capacity), available_bytes=int(available))


def path_and_format(volume: libvirt.virStorageVol) -> tuple[str, str]:
    """Where the volume is on the host, and the format that libvirt takes it for."""
    target = ElementTree.fromstring(volume.XMLDesc()).find("target")  # noqa: S314  written by libvirtd
    assert target is not None, "every volume has a target"
    image_format = target.find("format")
    return target.findtext("path", ""), "raw" if image_format is None else image_format.get("type", "raw")


def create_or_find(pool: libvirt.virStoragePool, name: str, xml: str) -> Volume:
    """Create it, or take the one that somebody else created in the meantime."""
    try:
        return read(pool.createXML(xml, 0))
    except libvirt.libvirtError as error:
        found = find(pool, name) if code_of(error) in _RACED else None
        if found is None:
            raise
        return found


def delete(pool: libvirt.virStoragePool, name: str) -> bool:
    """Delete the volume, complete or not; False if libvirt knows of none."""
    volume = lookup(pool, name)
    if volume is None:
        return False
    try:
        volume.delete(0)
    except libvirt.libvirtError as error:
        if not is_not_found(error):
            raise
    return True
