"""The files of a store and who may read them: they hold private keys, so the owner alone, whatever the umask.

SQLite gives its -wal and -shm files the mode of the database, so making that one first and private is enough; files that were
left wider by a copy or a restore are narrowed on opening. Directories that exist are left as they are.

Invariant: a file that SQLite may have open in this process is never opened and closed here: closing it would drop all of the
process's POSIX locks on it. Hence the lock around creation, and chmod by path.
"""

from __future__ import annotations

import os
import stat
import threading

_CREATION = threading.Lock()


def make_private(path: str) -> None:
    """Create the database file and its directories where missing, and narrow what is there. Repeating it is harmless.

    Raises:
        OSError: the file system refuses.
    """
    make_directories(os.path.dirname(path))
    with _CREATION:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        except FileExistsError:
            pass
        else:
            os.close(descriptor)
            os.chmod(path, 0o600)
    for name in (path, f"{path}-wal", f"{path}-shm"):
        narrow(name)


def make_directories(directory: str) -> None:
    """Create the directory and those above it where missing, for the user alone; what exists is left as it is."""
    if os.path.isdir(directory):
        return
    make_directories(os.path.dirname(directory))
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        return  # another process was faster, and narrows it
    os.chmod(directory, 0o700)


def narrow(path: str) -> None:
    """Take from others what they may do with a file of this user; nothing happens to one that is absent or somebody else's.

    Nor on a system without owners and modes: there the folder of the user is what keeps others out.
    """
    if not hasattr(os, "geteuid"):
        return
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return
    if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077 and found.st_uid == os.geteuid():
        os.chmod(path, found.st_mode & 0o700)  # takes from others, gives nothing: a read-only file stays one
