"""Who runs the control loop of a store: one process at a time.

A flock on a file beside the database: the kernel drops it when the process dies, however it dies, so nothing has to be cleaned
up. The file's content says who holds it and is only true while it is locked. The lock is advisory and of this machine: it does
not reach over network file systems.

    free ── try_acquire ──> held by us ── release, or the process ends ──> free
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from provisioner.model.clock import timestamp
from provisioner.model.errors import ControllerBusy
from provisioner.store.sqlite import files
from provisioner.store.sqlite.failures import translated

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


class ControllerLock:
    """The right to run the control loop; as a context manager, held inside.

    Args:
        database: Path of the store's database; the lock is the file `<database>.controller`.
        clock: Stamps since when it is held.
        command: What to show to others who want it, such as `hikube controller`.
    """

    def __init__(self, database: Path, *, clock: Clock, command: str) -> None:
        self._path = os.path.abspath(f"{database}.controller")
        self._clock = clock
        self._command = command
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Take it.

        Raises:
            ControllerBusy: another process, or another lock object of this one, holds it; `context` says who.
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
        """Take it if it is free; True if it is held by this object now, also if it was before."""
        if self._descriptor is not None:
            return True
        mine = Holder(os.getpid(), self._command[:_COMMAND_LETTERS], timestamp(self._clock.now_s()))
        with translated(self._path):
            files.make_private(self._path)
            self._descriptor = _locked(self._path, mine)
        return self._descriptor is not None

    def release(self) -> None:
        """Let others have it. Repeating it is harmless."""
        if self._descriptor is None:
            return
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = None

    def holder(self) -> Holder | None:
        """Who holds it now, or None. Takes nothing from anybody, and creates no file."""
        with translated(self._path), _opened(self._path) as descriptor:
            if descriptor is None or _is_free(descriptor):
                return None
            return _read(descriptor)


def _locked(path: str, mine: Holder) -> int | None:
    """A descriptor that holds the lock and tells of us, or None if somebody else holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    is_ours = False
    try:
        if _lock(descriptor):
            os.pwrite(descriptor, json.dumps(asdict(mine)).encode().ljust(_RECORD_BYTES), 0)
            is_ours = True
    finally:
        if not is_ours:
            os.close(descriptor)
    return descriptor if is_ours else None


def _lock(descriptor: int) -> bool:
    """Lock exclusively; False if somebody holds it. Whoever only looks (`_is_free`) is in the way for a moment: waited for."""
    for _ in range(_ATTEMPTS):
        if _flock(descriptor, fcntl.LOCK_EX):
            return True
        if not _is_free(descriptor):
            return False
        time.sleep(_PAUSE_S)
    return False


def _is_free(descriptor: int) -> bool:
    """Whether nobody holds it exclusively."""
    if not _flock(descriptor, fcntl.LOCK_SH):
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


def _flock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int | None]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> Holder:
    for _ in range(_ATTEMPTS):
        record = os.pread(descriptor, _RECORD_BYTES, 0)
        if record:
            known = json.loads(record)
            return Holder(known["pid"], known["command"], known["since"])
        time.sleep(_PAUSE_S)
    return Holder(pid=0, command="", since="")
