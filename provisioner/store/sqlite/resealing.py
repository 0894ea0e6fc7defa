"""Sealing what is in the database already: what an older schema left in plain text, and everything anew under another key.

    transaction: Secrets sealed, key named, "must rewrite" noted ──> file rewritten, log emptied ──> note taken back

The transaction alone would leave old pages in the write-ahead log and in free pages. They are gone after the rewrite; a process
that dies before it leaves the note, and the next one that opens the store does it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from provisioner.store.sqlite.key_file import KeyFile, SealingKey, new_key

if TYPE_CHECKING:
    from provisioner.store.sqlite.database import Database
    from provisioner.store.sqlite.vault import Vault

_READ = "SELECT id, metadata, spec FROM objects WHERE kind = 'Secret'"
_WRITE = "UPDATE objects SET spec = ? WHERE id = ?"

Change = Callable[[str, str, str], str]
"""From the uid of the Secret, the name of the value and the stored value to the value to store."""


def seal_plain(connection: sqlite3.Connection, vault: Vault) -> None:
    """Seal what an older schema stored in plain text, inside its migration. Needs no key where there is no Secret.

    Raises:
        SecretsLocked: there is one, and no key file can be made.
    """
    if connection.execute(_READ).fetchone() is None:
        return
    from provisioner.store.sqlite.sealing import seal

    key = vault.key_in_use(connection)
    _change_all(connection, lambda uid, name, value: seal(value, key=key, uid=uid, name=name))
    connection.execute("UPDATE sealing SET must_rewrite = 1")


def rotate_key(database: Database, vault: Vault, *, to: str) -> tuple[str, int]:
    """Seal every Secret anew; the id of the new key and how many Secrets there are.

    Args:
        to: A key file to go over to, made if it does not exist; empty: a new key in the file that is in use.

    Whenever this is interrupted, some file named by the operator has the key in use: the file in use has both keys until the
    old one is needed by nothing, and `to` is complete before anything is sealed with it.

    Raises:
        SecretsLocked: a Secret cannot be read, or the file cannot be written; nothing was changed then.
    """
    with database.write() as connection:
        _see_that_all_open(connection, vault)
        key = _offered(vault, to)
        count = _reseal(connection, vault, key)
        connection.execute("UPDATE sealing SET key_id = ?, must_rewrite = 1", (key.id,))
    if not to:
        with database.write() as connection:  # nobody else changes the file meanwhile
            in_use: str = connection.execute("SELECT key_id FROM sealing").fetchone()[0]
            vault.file.replace(tuple(known for known in vault.file.read() if known.id == in_use))
    with database.connection() as connection:
        rewrite_if_due(connection)
    return key.id, count


def rewrite_if_due(connection: sqlite3.Connection) -> None:
    """Rewrite the file without what it must not hold any more, if that is noted. One that is too busy is left for later."""
    if not connection.execute("SELECT must_rewrite FROM sealing").fetchone()[0]:
        return
    try:
        connection.execute("VACUUM")
        is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if not is_busy:
            connection.execute("UPDATE sealing SET must_rewrite = 0")
    except sqlite3.OperationalError:
        return  # locked, or no room for a copy: the note stays, and everything that is stored is sealed already


def _see_that_all_open(connection: sqlite3.Connection, vault: Vault) -> None:
    """Before anything is changed. Where there is no Secret nothing needs the old key, and it may be lost."""
    for _, metadata, text in connection.execute(_READ).fetchall():
        uid = json.loads(metadata)["uid"]
        for name, value in json.loads(text).get("data", {}).items():
            vault.open(value, uid=uid, name=name)


def _offered(vault: Vault, to: str) -> SealingKey:
    """The key to go over to, on the disk already."""
    if to:
        file = KeyFile(to)
        return (file.read() or file.create(new_key()))[0]
    key = new_key()
    vault.file.replace((*vault.file.read(), key))
    return key


def _reseal(connection: sqlite3.Connection, vault: Vault, key: SealingKey) -> int:
    from provisioner.store.sqlite.sealing import seal

    def change(uid: str, name: str, value: str) -> str:
        return seal(vault.open(value, uid=uid, name=name), key=key, uid=uid, name=name)

    return _change_all(connection, change)


def _change_all(connection: sqlite3.Connection, change: Change) -> int:
    rows = connection.execute(_READ).fetchall()
    for row, metadata, text in rows:
        spec: dict[str, Any] = json.loads(text)
        uid = json.loads(metadata)["uid"]
        data = {name: change(uid, name, value) for name, value in spec.get("data", {}).items()}
        connection.execute(_WRITE, (json.dumps({**spec, "data": data}, ensure_ascii=False, separators=(",", ":")), row))
    return len(rows)
