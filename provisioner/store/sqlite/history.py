"""Reading the history, and waiting for more of it, also for what other processes write.

SQLite tells nobody of a write, but `PRAGMA data_version` says for a few microseconds of CPU whether another connection has
written; it is asked every POLL_S. Writes of this process wake the waiting threads at once. The time waited is real time:
there is no other between processes.
"""

from __future__ import annotations

import sqlite3
import time
import zlib

from provisioner.store import semantics
from provisioner.store.protocol import Change, ChangeType
from provisioner.store.sqlite.database import Database
from provisioner.store.sqlite.shelf import Load, read_version

POLL_S = 0.03


def wait(database: Database, since: str, *, timeout_s: float, load: Load) -> tuple[Change, ...]:
    """The changes after `since`, as soon as there is one; an empty tuple after `timeout_s`.

    Raises:
        Conflict: they are not kept, or `since` is no version of this store.
    """
    version = semantics.parse_version(since)
    deadline_s = time.monotonic() + timeout_s
    with database.connection() as connection:
        while True:
            writes, others = database.writes(), _others(connection)
            changes = _after(connection, version, load=load)
            if changes or not _more(database, connection, writes=writes, others=others, deadline_s=deadline_s):
                return changes


def _after(connection: sqlite3.Connection, version: int, *, load: Load) -> tuple[Change, ...]:
    query = "SELECT version, type, document FROM history WHERE version > ? ORDER BY version LIMIT ?"
    rows = connection.execute(query, (version, semantics.CHANGES_PER_CALL)).fetchall()
    # Versions have no gaps: if the next one is not there, it was trimmed.
    if (rows and rows[0][0] != version + 1) or (not rows and version > read_version(connection)):
        raise semantics.too_old(str(version))
    return tuple(
        Change(ChangeType(change), load(zlib.decompress(packed).decode()), str(number)) for number, change, packed in rows
    )


def _more(database: Database, connection: sqlite3.Connection, *, writes: int, others: int, deadline_s: float) -> bool:
    """Wait until somebody has written; False at the deadline."""
    while (left_s := deadline_s - time.monotonic()) > 0:
        if database.wait_for_write(writes, timeout_s=min(POLL_S, left_s)) or _others(connection) != others:
            return True
    return False


def _others(connection: sqlite3.Connection) -> int:
    """A number that changes when another connection writes."""
    number: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return number
