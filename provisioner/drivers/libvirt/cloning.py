"""Full copies of volumes, made by the host itself: what was read through an overlay and all that is below it, in one file.

    mark -> remove an old volume -> createXMLFrom (the host runs qemu-img) -> unmark       as an upload, so as hidden as one

libvirt tells nothing of how far it is, so another thread looks at how much of the copy has been written. The format is told by
the origin's name and never by its content: a guest can write what it likes into a raw disk, also the header of a qcow2 file
that names a file of the host, and whoever believed it would copy that file for the tenant.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import libvirt

from provisioner.drivers.libvirt import pools, upload_mark, volume_xml
from provisioner.drivers.libvirt.calls import Progressing
from provisioner.drivers.libvirt.connection import Connection
from provisioner.drivers.volumes import Progress, Volume
from provisioner.model.errors import Conflict, HikubeError, NotFound, Unsupported

LOOK_EVERY_S = 1.0
FIRST_S = 600.0
SECONDS_PER_GIB = 100.0
"""A copy slower than this is given up: 10 MB/s."""


def copy(
    raw: libvirt.virConnect, pool: libvirt.virStoragePool, name: str, *, origin: str, origin_pool: str, what: str
) -> Volume:
    """Make the volume `name` of `pool` a copy of `origin`; the caller sees to time and to that it is the only one."""
    source = _source(raw.storagePoolLookupByName(origin_pool) if origin_pool else pool, origin, what=what)
    capacity_bytes = int(source.info()[1])
    xml = volume_xml.render(name, size_bytes=capacity_bytes, image_format=format_of(origin), allocation_bytes=0)
    with upload_mark.hidden(pool, name, what=what):
        pools.delete(pool, name)
        made = pool.createXMLFrom(xml, source, 0)
    pools.refresh(pool)
    return pools.read(made)


def format_of(name: str) -> str:
    """The format of a volume of that name."""
    return "qcow2" if name.endswith(".qcow2") else "raw"


@contextlib.contextmanager
def watched(
    connection: Connection, pool: str, name: str, *, total_bytes: int, progress: Progress | None
) -> Iterator[Progressing]:
    """Give signs of life while the block waits for a copy and the host answers, and tell how much of it there is.

    `progress` is called in a thread of its own, one call at a time, and not any more after the block.
    """
    progressing, is_over = Progressing(), threading.Event()
    looks = int((FIRST_S + SECONDS_PER_GIB * total_bytes / 2**30) / LOOK_EVERY_S)

    def watch() -> None:
        for _ in range(looks):
            if is_over.wait(LOOK_EVERY_S):
                return
            with contextlib.suppress(HikubeError):  # the copy itself will say what is wrong
                written = connection.run(lambda raw: _written(raw, pool, name), what=f"cannot look at volume {name}")
                progressing.beat()
                if progress is not None:
                    progress(min(written, total_bytes), total_bytes)

    thread = threading.Thread(target=watch, name="libvirt-copy-watch", daemon=True)
    thread.start()
    try:
        yield progressing
    finally:
        is_over.set()
        thread.join(LOOK_EVERY_S)


def size_of(raw: libvirt.virConnect, pool: str, origin: str, *, what: str) -> int:
    """Bytes that a copy of the origin may at most have."""
    return int(_source(raw.storagePoolLookupByName(pool), origin, what=what).info()[1])


def _source(pool: libvirt.virStoragePool, origin: str, *, what: str) -> libvirt.virStorageVol:
    """The origin, complete and of the format that its name says."""
    if pools.find(pool, origin) is None:
        raise NotFound(what, why=f"there is no complete volume {origin}")
    is_fresh = pools.refresh(pool)
    source = pool.storageVolLookupByName(origin)
    seen, wanted = pools.path_and_format(source)[1], format_of(origin)
    if seen != wanted and not is_fresh:
        raise Conflict(what, why=f"the pool is busy and the format of {origin} not known yet")
    if {seen, wanted} == {"raw", "qcow2"} or seen not in (wanted, "iso"):
        why = f"{origin} is {wanted} by its name, and its content says {seen}"
        raise Unsupported(what, why=why, hint="a guest wrote it so; copy it inside a guest")
    return source


def _written(raw: libvirt.virConnect, pool: str, name: str) -> int:
    place = raw.storagePoolLookupByName(pool)
    volume = pools.lookup(place, name)
    return int(volume.info()[2]) if volume is not None else 0
