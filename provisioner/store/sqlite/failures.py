"""What SQLite and the file system say, in our words: the one place where their errors become StoreUnavailable.

The hint says what the user can do, since nobody can know that from "disk I/O error". A misuse of the library (ProgrammingError)
is a bug of ours and passes through.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from provisioner.model.errors import StoreUnavailable

_DAMAGED = "move the file away (keep it) and restore a copy, or start anew and add the hosts again"
_HINTS = {
    sqlite3.SQLITE_BUSY: "another process writes for very long or hangs; see who has the file open: fuser -v FILE",
    sqlite3.SQLITE_LOCKED: "another process writes for very long or hangs; see who has the file open: fuser -v FILE",
    sqlite3.SQLITE_FULL: "make room on the disk and try again; nothing was changed",
    sqlite3.SQLITE_IOERR: "look at the disk (full, over quota, or failing: dmesg) and try again; nothing was changed",
    sqlite3.SQLITE_READONLY: "make the file and its directory writable for this user",
    sqlite3.SQLITE_PERM: "make the file and its directory writable for this user",
    sqlite3.SQLITE_CANTOPEN: "check the path, and that this user may write the file and its directory",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn what goes wrong with the database at `path` into StoreUnavailable."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        hint = _HINTS.get(code, "")
        raise unavailable(path, why=str(error), hint=hint) from error
    except OSError as error:
        hint = _HINTS[sqlite3.SQLITE_CANTOPEN]
        raise unavailable(path, why=error.strerror or str(error), hint=hint) from error


def unavailable(path: str, *, why: str, hint: str) -> StoreUnavailable:
    """The error for a database that cannot serve."""
    return StoreUnavailable(f"the store {path} cannot be used", why=why, hint=hint, context={"path": path})


def unreadable(path: str, *, why: str) -> StoreUnavailable:
    """The error for an object in the database that this version cannot read."""
    return unavailable(path, why=why[:500], hint="it was written by another version of hikube; use that one, or a newer one")
