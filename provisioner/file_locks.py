"""Locks between processes, on a file: the kernel drops them when their holder dies, however it dies, so nothing is cleaned up.

Where there is flock (Linux, macOS, BSD) it is used; elsewhere the `filelock` library with what that system has. Advisory, and
of this machine: it does not reach over network file systems. The file is made when the lock is first taken, private to this
user; nobody else may make it, or write into it. A lock object belongs to one thread at a time.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

try:
    import fcntl
except ImportError:  # a system without flock
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from pathlib import Path

_ATTEMPTS = 50
_PAUSE_S = 0.002
_POLL_S = 0.01
"""How often the library looks whether a lock that is waited for is free."""


def file_lock(path: Path | str) -> FileLock:
    """The lock on that file, by the best that this system has. Touches nothing yet."""
    return WithFlock(path) if fcntl is not None else WithLibrary(path)


class FileLock(ABC):
    """One lock; whoever else makes one for the same path competes for it, in this process too."""

    def __init__(self, path: Path | str) -> None:
        self._path = os.path.abspath(path)
        self._is_held = False

    @property
    def is_held(self) -> bool:
        """Whether this object holds it."""
        return self._is_held

    def try_acquire(self) -> bool:
        """Take it if it is free; True if this object holds it now, also if it did before.

        Raises:
            OSError: the file cannot be opened.
        """
        self._is_held = self._is_held or self._take(waits=False)
        return self._is_held

    def acquire(self) -> None:
        """Take it, and wait as long as somebody else has it. Raises as `try_acquire`."""
        self._is_held = self._is_held or self._take(waits=True)

    def release(self) -> None:
        """Let others have it. Repeating it is harmless."""
        if self._is_held:
            self._is_held = False
            self._let_go()

    def is_taken(self) -> bool:
        """Whether anybody holds it now. Takes it from nobody, and makes no file."""
        return self._is_held or (os.path.exists(self._path) and not self._is_free())

    @abstractmethod
    def _take(self, *, waits: bool) -> bool: ...

    @abstractmethod
    def _let_go(self) -> None: ...

    @abstractmethod
    def _is_free(self) -> bool: ...


class WithFlock(FileLock):
    """By flock: on a descriptor, and gone with it."""

    _descriptor: int

    def _take(self, *, waits: bool) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        is_ours = False
        try:
            if waits:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            is_ours = waits or _exclusively(descriptor)
        finally:
            if is_ours:
                self._descriptor = descriptor
            else:
                os.close(descriptor)
        return is_ours

    def _let_go(self) -> None:
        os.close(self._descriptor)

    def _is_free(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return True
        try:
            return _looks_free(descriptor)
        finally:
            os.close(descriptor)


class WithLibrary(FileLock):
    """By `filelock`, which is imported here only: no system with flock pays for it."""

    _lock: Any

    def _take(self, *, waits: bool) -> bool:
        import filelock

        lock = filelock.FileLock(self._path, mode=0o600, thread_local=False)
        try:
            lock.acquire(timeout=-1 if waits else 0, poll_interval=_POLL_S)
        except filelock.Timeout:
            return False
        self._lock = lock
        return True

    def _let_go(self) -> None:
        self._lock.release()

    def _is_free(self) -> bool:
        is_ours = self._take(waits=False)
        if is_ours:
            self._let_go()
        return is_ours


def _exclusively(descriptor: int) -> bool:
    """Lock it; False if somebody holds it. Whoever only looks (`_looks_free`) is in the way for a moment: waited for."""
    for _ in range(_ATTEMPTS):
        if _flock(descriptor, fcntl.LOCK_EX):
            return True
        if not _looks_free(descriptor):
            return False
        time.sleep(_PAUSE_S)
    return False


def _looks_free(descriptor: int) -> bool:
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
