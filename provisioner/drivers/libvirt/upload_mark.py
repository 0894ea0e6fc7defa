"""The mark that hides a volume while it is being uploaded: a volume `<name>.uploading` beside it.

It is sparse, and its size is a number that says whose it is (random, or made from the content of an upload that can be
resumed): who finds another number at the end has been overtaken by another upload of the same name, whose business the mark
now is.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Iterator

import libvirt

from provisioner.drivers.libvirt import volume_xml
from provisioner.drivers.libvirt.errors import is_not_found
from provisioner.model.errors import Conflict

_SUFFIX = ".uploading"
_PIECE_BYTES = 512
"""Sizes of raw volumes are whole sectors."""
_TOKENS = 2**21


@contextlib.contextmanager
def hidden(pool: libvirt.virStoragePool, name: str, *, what: str) -> Iterator[None]:
    """Hide the volume of that name while the block runs; a block that fails leaves no volume.

    If not even that can be done (the connection is lost), the mark stays and keeps the broken volume out of sight.

    Raises:
        Conflict: another upload of the same name, or its deletion, overtook this one.
    """
    token = token_of(secrets.randbelow(_TOKENS))
    put(pool, name, token)
    with contextlib.ExitStack() as undo:
        undo.callback(give_up, pool, name, token)
        yield
        undo.pop_all()
    take_away(pool, name, token, what=what)


def token_of(number: int) -> int:
    """The size of a mark that stands for that number."""
    return (1 + number % _TOKENS) * _PIECE_BYTES


def put(pool: libvirt.virStoragePool, name: str, token: int) -> None:
    """Set a mark of that size, in place of any other."""
    clear(pool, name)
    pool.createXML(volume_xml.render(name + _SUFFIX, size_bytes=token, image_format="raw", allocation_bytes=0), 0)


def take_away(pool: libvirt.virStoragePool, name: str, token: int, *, what: str) -> None:
    """Let the volume be seen.

    Raises:
        Conflict: the mark is not that one any more.
    """
    mark = find(pool, name, token)
    if mark is None:
        raise Conflict(what, why="another upload of the same name, or its deletion, overtook this one")
    mark.delete(0)


def clear(pool: libvirt.virStoragePool, name: str) -> None:
    """Take any mark away."""
    mark = _lookup(pool, name + _SUFFIX)
    if mark is not None:
        mark.delete(0)


def is_on(pool: libvirt.virStoragePool, name: str) -> bool:
    """Whether the volume of that name is not complete."""
    return _lookup(pool, name + _SUFFIX) is not None


def hidden_names(names: Iterable[str]) -> frozenset[str]:
    """Of all names in a pool, those that are not to be shown: marks, and what they mark."""
    marks = frozenset(name for name in names if name.endswith(_SUFFIX))
    return marks | frozenset(name.removesuffix(_SUFFIX) for name in marks)


def find(pool: libvirt.virStoragePool, name: str, token: int) -> libvirt.virStorageVol | None:
    """The mark, if it is that one."""
    mark = _lookup(pool, name + _SUFFIX)
    return mark if mark is not None and int(mark.info()[1]) == token else None


def give_up(pool: libvirt.virStoragePool, name: str, token: int) -> None:
    """Remove the broken volume and its mark, if that can be done."""
    try:
        mark = find(pool, name, token)
        for volume in (_lookup(pool, name), mark) if mark is not None else ():
            if volume is not None:
                volume.delete(0)
    except libvirt.libvirtError:
        return  # the mark stays, which is its purpose; the error that led here is the one to tell


def _lookup(pool: libvirt.virStoragePool, name: str) -> libvirt.virStorageVol | None:
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if is_not_found(error):
            return None
        raise
