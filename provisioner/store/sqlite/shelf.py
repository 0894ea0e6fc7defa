"""Objects as rows: the shelf that semantics.py works on, for the length of one transaction, and plain reading.

A document is the object as JSON text (camelCase), as `Resource.as_json` writes it. It stays text for as long as possible:
pydantic reads text faster than dictionaries, and thousands of dictionaries keep the garbage collector busy. Nothing here knows
any kind: whoever wants typed objects hands in what makes them.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from provisioner.store import semantics
from provisioner.store.protocol import ChangeType
from provisioner.store.sqlite.events import mark_orphans
from provisioner.store.sqlite.vault import Vault

if TYPE_CHECKING:
    from provisioner.model.metadata import Key, Resource

R = TypeVar("R", bound="Resource")

Load = Callable[[str], "Resource"]

_READ_ONE = """
SELECT kind, api_version, metadata, spec, status FROM objects WHERE kind = ? AND namespace = ? AND name = ?
"""
_READ_ALL = """
SELECT kind, api_version, metadata, spec, status FROM objects
WHERE kind = :kind AND (:namespace IS NULL OR namespace = :namespace) AND (:label_count = 0 OR id IN (
    SELECT object FROM json_each(:labels) AS wanted JOIN labels ON label = wanted.key AND labels.value = wanted.value
    GROUP BY object HAVING count(*) = :label_count))
ORDER BY namespace, name
"""
_READ_OWNED = """
SELECT kind, api_version, metadata, spec, status FROM objects
WHERE id IN (SELECT object FROM owners WHERE uid = ?) ORDER BY kind, namespace, name
"""
_INSERT = """
INSERT INTO objects (api_version, metadata, spec, status, kind, namespace, name) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_UPDATE = """
UPDATE objects SET api_version = ?, metadata = ?, spec = ?, status = ? WHERE kind = ? AND namespace = ? AND name = ?
"""
_DELETE = "DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?"


def read_one(connection: sqlite3.Connection, key: tuple[str, str, str]) -> str | None:
    """The document of (kind, namespace, name), or None."""
    row = connection.execute(_READ_ONE, key).fetchone()
    return None if row is None else _document(row)


def read_all(
    connection: sqlite3.Connection, kind: str, *, namespace: str | None, labels: Mapping[str, str] | None
) -> list[str]:
    """The documents of a kind in order of namespace and name."""
    labels = dict(labels or {})
    wanted = {"kind": kind, "namespace": namespace, "labels": json.dumps(labels), "label_count": len(labels)}
    return [_document(row) for row in connection.execute(_READ_ALL, wanted)]


def read_version(connection: sqlite3.Connection) -> int:
    """The version of the newest change."""
    version: int = connection.execute("SELECT version FROM store").fetchone()[0]
    return version


class SqliteShelf:
    """semantics.Shelf over a connection inside a write transaction. Secrets that cannot be opened can still be deleted."""

    def __init__(self, connection: sqlite3.Connection, *, load: Load, vault: Vault, history_kept: int) -> None:
        self._connection = connection
        self._vault = vault
        self._load = load
        self._history_kept = history_kept

    def find(self, key: Key) -> Resource | None:
        """As Shelf says."""
        document = read_one(self._connection, (key.kind, key.namespace, key.name))
        return None if document is None else self._opened(document)

    def dependents(self, uid: str) -> list[Resource]:
        """As Shelf says."""
        return [self._opened(_document(row)) for row in self._connection.execute(_READ_OWNED, (uid,)).fetchall()]

    def write(self, change: ChangeType, resource: R) -> R:
        """As Shelf says."""
        execute = self._connection.execute
        version: int = execute("UPDATE store SET version = version + 1 RETURNING version").fetchone()[0]
        stamped = resource.with_metadata(resource_version=str(version))
        key = (stamped.kind, stamped.metadata.namespace, stamped.metadata.name)
        if change is ChangeType.DELETED:
            execute(_DELETE, key)
        else:
            stored = self._vault.sealed(self._connection, stamped)
            parts = [semantics.text_of(part) for part in (stored.metadata, stored.spec, stored.status)]
            execute(_INSERT if change is ChangeType.ADDED else _UPDATE, (stamped.api_version, *parts, *key))
        if change is not ChangeType.MODIFIED:
            mark_orphans(self._connection, key, is_removed=change is ChangeType.DELETED)
        self._remember(version, change, stamped)
        return stamped

    def _opened(self, document: str) -> Resource:
        return self._vault.opened_if_possible(self._load(document))

    def _remember(self, version: int, change: ChangeType, resource: Resource) -> None:
        packed = zlib.compress(semantics.text_of(semantics.shown(resource)).encode(), level=1)
        self._connection.execute("INSERT INTO history VALUES (?, ?, ?)", (version, change.value, packed))
        self._connection.execute("DELETE FROM history WHERE version <= ?", (version - self._history_kept,))


def _document(row: tuple[str, str, str, str, str]) -> str:
    """One JSON object of the columns, each of which is JSON already, but for the two words."""
    kind, api_version, metadata, spec, status = row
    words = f'"apiVersion":{json.dumps(api_version)},"kind":{json.dumps(kind)}'
    return f'{{{words},"metadata":{metadata},"spec":{spec},"status":{status}}}'
