"""The schema of the database and how an older one becomes the present one.

Each file of migrations/ leads from one version to the next, in a transaction of its own, so a process that is killed in the
middle leaves the version before. Two processes may migrate at once: the second finds the work done. Released files are never
edited; a change of the schema is a new file and a higher VERSION.
"""

from __future__ import annotations

import os
import sqlite3
import time

from provisioner.store.sqlite.failures import unavailable
from provisioner.store.sqlite.resealing import rewrite_if_due, seal_plain
from provisioner.store.sqlite.vault import Vault

VERSION = 2
_SEALED_SECRETS = 2
APPLICATION_ID = 0x68696B75
"""`hiku`, in the header of the file: tells our databases from others."""

_MIGRATIONS = os.path.join(os.path.dirname(__file__), "migrations")
_WAL_ATTEMPTS = 100
_WAL_PAUSE_S = 0.02


def migrate(connection: sqlite3.Connection, *, path: str, vault: Vault) -> None:
    """Bring the database to VERSION; cheap when it is there. An empty file becomes a store.

    Raises:
        StoreUnavailable: it is of a newer version, or of another program.
        SecretsLocked: an older one has Secrets in plain text, and no key to seal them can be had; nothing was changed.
        sqlite3.Error: it is damaged or cannot be written.
    """
    version = _version(connection, path)
    if version < VERSION:
        _check(connection, path)
        _use_wal(connection)
        for target in range(version + 1, VERSION + 1):
            _apply(connection, target, vault)
    rewrite_if_due(connection)


def _version(connection: sqlite3.Connection, path: str) -> int:
    """The version that it has; 0 is an empty file."""
    connection.execute("BEGIN")  # one look: another process may be creating the tables just now
    version = _pragma(connection, "user_version")
    application = _pragma(connection, "application_id")
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    connection.execute("COMMIT")
    if application != APPLICATION_ID and (tables or version):
        raise unavailable(path, why="it is a database of another program", hint="choose another path")
    if version > VERSION:
        why = f"its schema is of version {version}, this hikube knows {VERSION}"
        raise unavailable(path, why=why, hint="use the newer hikube that wrote it, or choose another data directory")
    return version


def _check(connection: sqlite3.Connection, path: str) -> None:
    """A damaged database must not be migrated; read once per migration, since it reads the whole file."""
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise unavailable(path, why=f"it is damaged: {verdict}", hint="restore a copy; the file was not touched")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; it is kept in the file. SQLite does not wait for others here, so we do."""
    for _ in range(_WAL_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(_WAL_PAUSE_S)
        else:
            return
    connection.execute("PRAGMA journal_mode = WAL")


def _apply(connection: sqlite3.Connection, target: int, vault: Vault) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if _pragma(connection, "user_version") < target:
        for statement in _statements(target):
            connection.execute(statement)
        if target == _SEALED_SECRETS:
            seal_plain(connection, vault)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {target}")
    connection.execute("COMMIT")


def _statements(target: int) -> list[str]:
    """The statements of one migration file; a trigger is one statement."""
    name = next(name for name in sorted(os.listdir(_MIGRATIONS)) if name.startswith(f"{target:04}_"))
    with open(os.path.join(_MIGRATIONS, name), encoding="utf-8") as file:
        lines = file.readlines()
    statements = [""]
    for line in lines:
        statements[-1] += line
        if sqlite3.complete_statement(statements[-1]):
            statements.append("")
    return statements[:-1]


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
