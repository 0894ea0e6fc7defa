"""A file as one side of a move (see store/moving): its control loop is held from `open` to `close`."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from provisioner.store.sqlite.controller_lock import ControllerLock
from provisioner.store.sqlite.signpost_file import read_signpost, write_signpost
from provisioner.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from provisioner.model.clock import Clock, Identifiers
    from provisioner.store.moving.signposts import Signpost


class SqliteSide:
    """As moving.Side says. Opening it makes the file where there is none; see SqliteStore for what it raises."""

    def __init__(self, path: Path, *, clock: Clock, identifiers: Identifiers, key_path: Path | None = None) -> None:
        self._path = os.path.realpath(path)
        self.name = f"the file {self._path}"
        self.id = f"file:{socket.gethostname()}:{self._path}"
        self.store = SqliteStore(path, clock=clock, identifiers=identifiers, key_path=key_path, ignores_signpost=True)
        self._lock = ControllerLock(path, clock=clock, command="hikube migrate", ignores_signpost=True)

    def hold(self) -> None:
        """Let nobody run its control loop. Raises ControllerBusy: somebody does."""
        self._lock.acquire()

    def close(self) -> None:
        """Let others have it. Repeating it is harmless."""
        self._lock.release()
        self.store.close()

    def signpost(self) -> Signpost | None:
        """As Side says."""
        return read_signpost(self._path)

    def set_signpost(self, signpost: Signpost | None) -> None:
        """As Side says."""
        write_signpost(self._path, signpost)

    def prepare(self, namespaces: Sequence[str]) -> None:
        """A file needs no room for them."""
