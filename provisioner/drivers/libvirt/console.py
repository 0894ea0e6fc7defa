"""What a guest printed on its serial port, read through libvirt alone; and the way to be attached to it (`console_session`).

virtlogd writes the console into a file that the domain's XML names. That file lies in the directory of a storage pool (see
`provisioner.model.domain_names.console_log_path`), so libvirt shows it as a volume and can hand out its last bytes, on a remote
host too. virtlogd starts the file anew when the domain starts (`append='off'`) and turns it over at 2 MiB.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from contextlib import ExitStack

import libvirt

from provisioner.drivers.libvirt import domain_xml, streams
from provisioner.drivers.libvirt.connection import Connection
from provisioner.drivers.libvirt.console_session import LibvirtConsoleSession
from provisioner.drivers.libvirt.errors import is_gap, is_not_found


class LibvirtConsole:
    """Serial consoles of one host's domains."""

    def __init__(self, connection: Connection, *, another: Callable[[], Connection]) -> None:
        self._connection = connection
        self._another = another

    def tail(self, name: str, *, limit_bytes: int) -> str:
        """The last bytes of what the guest printed since its last start; empty if nothing is kept.

        Bytes that are no UTF-8 come out as U+FFFD.
        """
        what = f"cannot read the console of {name}"
        content = self._connection.run(lambda raw: _tail(raw, name, limit_bytes), what=what)
        return content.decode("utf-8", errors="replace")

    def attach(self, name: str, *, force: bool = False) -> LibvirtConsoleSession:
        """Take the console of a running domain, over a connection of its own.

        Raises:
            NotFound: no such domain, it does not run, or it has no serial port.
            Conflict: somebody is attached.
        """
        connection = self._another()
        with ExitStack() as undo:
            undo.callback(connection.close)
            session = LibvirtConsoleSession(connection, name, force=force)
            undo.pop_all()
        return session


def _tail(raw: libvirt.virConnect, name: str, limit_bytes: int) -> bytes:
    try:
        path = domain_xml.parse(raw.lookupByName(name).XMLDesc()).console_log
        volume = _volume(raw, path) if path else None
        if volume is None:
            return b""
        size_bytes = int(volume.info()[1])
        offset = max(0, size_bytes - limit_bytes)
        return streams.download(raw, volume, offset=offset, size_bytes=limit_bytes) if size_bytes else b""
    except libvirt.libvirtError as error:
        if is_not_found(error) or is_gap(error):
            return b""
        raise


def _volume(raw: libvirt.virConnect, path: str) -> libvirt.virStorageVol | None:
    """The volume at that path; the pool is looked through again, since a file made behind libvirt's back is unknown to it."""
    pool = raw.storagePoolLookupByTargetPath(posixpath.dirname(path))
    try:
        return pool.storageVolLookupByName(posixpath.basename(path))
    except libvirt.libvirtError as error:
        if not is_not_found(error):
            raise
    try:
        pool.refresh(0)
        return pool.storageVolLookupByName(posixpath.basename(path))
    except libvirt.libvirtError:
        return None  # not there, or the pool is busy: then there is nothing to show yet
