"""Storage volumes in pools of files.

Uploads are made safe by a marker, since libvirt can rename nothing and copying a base image twice would cost minutes:

    mark -> remove an old volume -> create -> send -> unmark        find() and list() see nothing while the mark is there

A mark that stays behind (a lost connection, a killed process) keeps the broken volume out of sight until the next upload or
delete of that name. Volumes without a mark, ours or laid there by hand, are complete. Copies are hidden in the same way.
"""

from __future__ import annotations

from typing import BinaryIO

import libvirt

from provisioner.drivers.libvirt import cloning, pools, resuming, streams, upload_mark, volume_xml
from provisioner.drivers.libvirt.calls import Progressing
from provisioner.drivers.libvirt.connection import Connection
from provisioner.drivers.volumes import PoolSpace, Progress, Volume
from provisioner.model.errors import Conflict, NotFound, Unsupported

_CREATE_TIMEOUT_S = 120.0
_SILENCE_TIMEOUT_S = 60.0
"""How long an upload may make no progress."""


class LibvirtVolumes:
    """Volumes of one host's pools."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, pool: str, name: str) -> Volume | None:
        """The volume, or None; also None while it is being uploaded. Looks through the pool again if it is not found at first.

        Raises:
            NotFound: there is no such pool.
        """
        what = f"cannot look for volume {name} in pool {pool}"
        return self._connection.run(
            lambda raw: pools.find(raw.storagePoolLookupByName(pool), name), what=what, timeout_s=_CREATE_TIMEOUT_S
        )

    def create(self, pool: str, name: str, *, size_bytes: int, base: str = "", image_format: str = "qcow2") -> Volume:
        """Make a volume, empty or as an overlay over the volume `base` of the same pool; one that exists is returned as it is.

        Raises:
            NotFound: the pool or the base does not exist.
        """
        what = f"cannot create volume {name} in pool {pool}"

        def create(raw: libvirt.virConnect) -> Volume:
            place = raw.storagePoolLookupByName(pool)
            found = pools.find(place, name)
            if found is not None:
                return found
            backing = _backing(place, base, what=what) if base else None
            xml = volume_xml.render(name, size_bytes=size_bytes, image_format=image_format, backing=backing)
            return pools.create_or_find(place, name, xml)

        return self._connection.run(create, what=what, timeout_s=_CREATE_TIMEOUT_S)

    def upload(
        self, pool: str, name: str, content: BinaryIO, *, size_bytes: int, identity: str = "", progress: Progress | None = None
    ) -> Volume:
        """Make a raw file volume of exactly this content; one that exists is replaced.

        It appears under its name only when complete, and stays hidden if the upload breaks; with an `identity`, the next
        upload of the same goes on from there.
        `progress` is called in another thread than the caller's, one call at a time.

        Raises:
            NotFound: there is no such pool.
            InvalidInput: the content is shorter than `size_bytes`.
            Conflict: another upload of that name is on its way here, or took this one's place.
            HostTimeout: no progress for a minute.
        """
        what = f"cannot upload volume {name} to pool {pool}"
        progressing = Progressing()

        def on_sent(sent: int) -> None:
            progressing.beat()
            if progress is not None:
                progress(sent, size_bytes)

        def upload(raw: libvirt.virConnect) -> Volume:
            place = raw.storagePoolLookupByName(pool)
            if identity:
                given = resuming.Content(content, size_bytes, identity)
                volume = resuming.upload(raw, place, name, given, on_sent=on_sent, what=what)
                pools.refresh(place)
                return pools.read(volume)
            with upload_mark.hidden(place, name, what=what):
                pools.delete(place, name)
                xml = volume_xml.render(name, size_bytes=size_bytes, image_format="raw", allocation_bytes=0)
                volume = place.createXML(xml, 0)
                streams.upload(raw, volume, content, size_bytes=size_bytes, on_sent=on_sent)
            pools.refresh(place)
            return pools.read(volume)

        with self._connection.only_one(f"upload {pool}/{name}", what=what):
            return self._connection.run(upload, what=what, timeout_s=_SILENCE_TIMEOUT_S, progressing=progressing)

    def clone(self, pool: str, name: str, *, origin: str, origin_pool: str = "", progress: Progress | None = None) -> Volume:
        """Make a volume that is a full copy of `origin`, with nothing below it; one that exists is replaced.

        It appears under its name only when complete. `progress` is called in another thread than the caller's.

        Raises:
            NotFound: a pool or the origin does not exist.
            Unsupported: the origin's content pretends to be of another format than its name says.
            Conflict: another copy or upload of that name is on its way here, or took this one's place.
            HostTimeout: the host does not answer for a minute, or the copy is slower than 10 MB/s.
        """
        what = f"cannot copy volume {origin} to {name} in pool {pool}"
        place, connection = origin_pool or pool, self._connection
        with connection.only_one(f"upload {pool}/{name}", what=what):
            total = connection.run(lambda raw: cloning.size_of(raw, place, origin, what=what), what=what)
            with cloning.watched(connection, pool, name, total_bytes=total, progress=progress) as progressing:
                return connection.run(
                    lambda raw: cloning.copy(
                        raw, raw.storagePoolLookupByName(pool), name, origin=origin, origin_pool=place, what=what
                    ),
                    what=what,
                    timeout_s=_SILENCE_TIMEOUT_S,
                    progressing=progressing,
                )

    def resize(self, pool: str, name: str, *, size_bytes: int) -> Volume:
        """Grow the volume; shrinking is refused with Unsupported. One of that size is left alone.

        Raises:
            NotFound: there is no such pool or volume.
        """
        what = f"cannot resize volume {name} in pool {pool}"

        def resize(raw: libvirt.virConnect) -> Volume:
            volume = raw.storagePoolLookupByName(pool).storageVolLookupByName(name)
            now = pools.read(volume)
            if size_bytes < now.capacity_bytes:
                why = f"it has {now.capacity_bytes} bytes and can only grow"
                raise Unsupported(what, why=why, context={"capacityBytes": now.capacity_bytes, "wantedBytes": size_bytes})
            if size_bytes > now.capacity_bytes:
                volume.resize(size_bytes, 0)
            return pools.read(volume)

        return self._connection.run(resize, what=what, timeout_s=_CREATE_TIMEOUT_S)

    def delete(self, pool: str, name: str) -> None:
        """Delete it if it exists, complete or not.

        Raises:
            NotFound: there is no such pool.
        """

        def delete(raw: libvirt.virConnect) -> None:
            place = raw.storagePoolLookupByName(pool)
            if not pools.delete(place, name):
                pools.refresh(place)
                pools.delete(place, name)
            upload_mark.clear(place, name)

        self._connection.run(delete, what=f"cannot delete volume {name} of pool {pool}", timeout_s=_CREATE_TIMEOUT_S)

    def list(self, pool: str, *, prefix: str = "") -> tuple[Volume, ...]:
        """Complete volumes whose name begins with `prefix`, by name; also files that appeared behind libvirt's back.

        Raises:
            NotFound: there is no such pool.
        """

        def collect(raw: libvirt.virConnect) -> tuple[Volume, ...]:
            place = raw.storagePoolLookupByName(pool)
            pools.refresh(place)
            volumes = {volume.name(): volume for volume in place.listAllVolumes()}
            hidden = upload_mark.hidden_names(volumes)
            wanted = sorted(name for name in volumes if name.startswith(prefix) and name not in hidden)
            found = (pools.read_if_there(volumes[name]) for name in wanted)
            return tuple(volume for volume in found if volume is not None)

        return self._connection.run(collect, what=f"cannot list the volumes of pool {pool}")

    def space(self, pool: str) -> PoolSpace:
        """What is left in the pool, looked up anew where its host lets us.

        Raises:
            NotFound: there is no such pool.
        """
        what = f"cannot look at pool {pool}"
        return self._connection.run(lambda raw: pools.space(raw.storagePoolLookupByName(pool)), what=what)


def _backing(pool: libvirt.virStoragePool, base: str, *, what: str) -> volume_xml.Backing:
    """The volume below an overlay, with the format that libvirt found in it."""
    if pools.find(pool, base) is None:
        raise NotFound(what, why=f"there is no complete base volume {base}")
    volume = pool.storageVolLookupByName(base)
    path, image_format = pools.path_and_format(volume)
    if image_format == "raw":
        # What was uploaded counts as raw until libvirt has looked through the pool again.
        if not pools.refresh(pool):
            raise Conflict(what, why=f"the pool is busy and the format of {base} not known yet")
        path, image_format = pools.path_and_format(pool.storageVolLookupByName(base))
    return volume_xml.Backing(path=path, format=image_format)
