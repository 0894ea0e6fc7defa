"""Who runs the control loop of a store: one process at a time.

A lock on a file beside the database: the kernel drops it when the process dies, however it dies, so nothing has to be cleaned
up. Another file beside it says who holds it, and is only true while it is locked: elsewhere than here, what is locked cannot be
read. The lock is advisory and of this machine: it does not reach over network file systems.

    <database>.controller        the lock
    <database>.controller.who    its holder

    free ── try_acquire ──> held by us ── release, or the process ends ──> free
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from provisioner.file_locks import file_lock
from provisioner.model.clock import timestamp
from provisioner.model.errors import ControllerBusy
from provisioner.store.sqlite import files
from provisioner.store.sqlite.failures import translated
from provisioner.store.sqlite.signpost_file import raise_if_signposted

if TYPE_CHECKING:
    from pathlib import Path

    from provisioner.model.clock import Clock

_RECORD_BYTES = 1024
"""Written and read in one piece, so nobody sees half of it."""
_COMMAND_LETTERS = 120
"""At most six bytes each in JSON; the record holds them."""
_ATTEMPTS = 50
_PAUSE_S = 0.002


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that runs the control loop."""

    pid: int
    """0 in the moment before it has written who it is."""
    command: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


class ControllerLock:
    """The right to run the control loop; as a context manager, held inside.

    Args:
        database: Path of the store's database.
        clock: Stamps since when it is held.
        command: What to show to others who want it, such as `hikube controller`.
        ignores_signpost: For whoever moves the objects himself; anybody else is refused where they have left.
    """

    def __init__(self, database: Path, *, clock: Clock, command: str, ignores_signpost: bool = False) -> None:
        self._database = os.path.abspath(database)
        self._ignores_signpost = ignores_signpost
        self._path = os.path.abspath(f"{database}.controller")
        self._record = f"{self._path}.who"
        self._lock = file_lock(self._path)
        self._clock = clock
        self._command = command

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Take it.

        Raises:
            ControllerBusy: another process, or another lock object of this one, holds it; `context` says who.
            NotAllowed: the objects were moved to another store, or have not all come.
            StoreUnavailable: the file cannot be opened.
        """
        if self.try_acquire():
            return
        holder = self.holder()
        facts = asdict(holder) if holder else {}
        why = f"{holder.command} (process {holder.pid}) since {holder.since}" if holder and holder.pid else ""
        hint = "leave the work to it, or stop it first"
        raise ControllerBusy("another process runs the control loop of this store", why=why, hint=hint, context=facts)

    def try_acquire(self) -> bool:
        """Take it if it is free; True if it is held by this object now, also if it was before. Raises as `acquire`."""
        if self._lock.is_held:
            return True
        if not self._ignores_signpost:
            raise_if_signposted(self._database)
        mine = Holder(os.getpid(), self._command[:_COMMAND_LETTERS], timestamp(self._clock.now_s()))
        with translated(self._path):
            files.make_private(self._record)
            if self._lock.try_acquire():
                _write(self._record, json.dumps(asdict(mine)).encode().ljust(_RECORD_BYTES))
        return self._lock.is_held

    def release(self) -> None:
        """Let others have it. Repeating it is harmless."""
        if self._lock.is_held:
            _write(self._record, b"")
            self._lock.release()

    def holder(self) -> Holder | None:
        """Who holds it now, or None. Takes nothing from anybody, and creates no file."""
        with translated(self._path):
            return _read(self._record) if self._lock.is_taken() else None


def _write(path: str, record: bytes) -> None:
    with open(path, "r+b", buffering=0) as file:
        file.write(record)
        if not record:
            file.truncate(0)


def _read(path: str) -> Holder:
    for _ in range(_ATTEMPTS):
        with open(path, "rb", buffering=0) as file:
            record = file.read(_RECORD_BYTES)
        if record:
            known = json.loads(record)
            return Holder(known["pid"], known["command"], known["since"])
        time.sleep(_PAUSE_S)
    return Holder(pid=0, command="", since="")
