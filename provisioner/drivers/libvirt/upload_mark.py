"""The mark that hides a volume while it is being uploaded: a volume `<name>.uploading` beside it.

It is sparse, and its size is a random number that says whose it is: who finds another number at the end has been overtaken by
another upload of the same name, whose business the mark now is.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import libvirt

from provisioner.drivers.libvirt import volume_xml
from provisioner.drivers.libvirt.errors import is_not_found
from provisioner.model.errors import Conflict

_SUFFIX = ".uploading"
_PIECE_BYTES = 512
"""Sizes of raw volumes are whole sectors."""
_TOKENS = 2**21


def put(pool: libvirt.virStoragePool, name: str) -> int:
    """Set our mark, in place of any other; returns the number that `remove` wants to see."""
    clear(pool, name)
    token = (1 + secrets.randbelow(_TOKENS)) * _PIECE_BYTES
    pool.createXML(volume_xml.render(name + _SUFFIX, size_bytes=token, image_format="raw", allocation_bytes=0), 0)
    return token


def remove(pool: libvirt.virStoragePool, name: str, token: int, *, what: str) -> None:
    """Take our mark away: the volume is complete.

    Raises:
        Conflict: the mark is another upload's, or gone with the volume.
    """
    mark = _lookup(pool, name)
    if mark is None or int(mark.info()[1]) != token:
        raise Conflict(what, why="another upload of the same name, or its deletion, overtook this one")
    mark.delete(0)


def clear(pool: libvirt.virStoragePool, name: str) -> None:
    """Take any mark away."""
    mark = _lookup(pool, name)
    if mark is not None:
        mark.delete(0)


def is_on(pool: libvirt.virStoragePool, name: str) -> bool:
    """Whether the volume of that name is not complete."""
    return _lookup(pool, name) is not None


def hidden_names(names: Iterable[str]) -> frozenset[str]:
    """Of all names in a pool, those that are not to be shown: marks, and what they mark."""
    marks = frozenset(name for name in names if name.endswith(_SUFFIX))
    return marks | frozenset(name.removesuffix(_SUFFIX) for name in marks)


def _lookup(pool: libvirt.virStoragePool, name: str) -> libvirt.virStorageVol | None:
    try:
        return pool.storageVolLookupByName(name + _SUFFIX)
    except libvirt.libvirtError as error:
        if is_not_found(error):
            return None
        raise
