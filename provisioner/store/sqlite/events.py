"""Events as rows: equal ones are counted, each object keeps its newest, and those of removed objects fade.

Events have no versions and no history: they are told to people, nobody decides by them.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from provisioner.store import semantics
from provisioner.store.protocol import Event

if TYPE_CHECKING:
    from provisioner.model.metadata import Key

_COUNT = """
INSERT INTO events (
    kind, namespace, name, type, reason, message, count, first_timestamp, last_timestamp, sequence, orphaned)
SELECT :kind, :namespace, :name, :type, :reason, :message, 1, :now, :now,
    (SELECT coalesce(max(sequence), 0) + 1 FROM events),
    NOT EXISTS (SELECT 1 FROM objects WHERE kind = :kind AND namespace = :namespace AND name = :name)
WHERE true
ON CONFLICT (kind, namespace, name, reason, message) DO UPDATE SET
    type = excluded.type, count = count + 1, last_timestamp = excluded.last_timestamp, sequence = excluded.sequence
"""
_TRIM_OBJECT = """
DELETE FROM events WHERE id IN (
    SELECT id FROM events WHERE kind = ? AND namespace = ? AND name = ?
    ORDER BY last_timestamp DESC, sequence DESC LIMIT -1 OFFSET ?)
"""
_TRIM_ORPHANS = """
DELETE FROM events WHERE id IN (
    SELECT id FROM events WHERE orphaned = 1 ORDER BY last_timestamp DESC, sequence DESC LIMIT -1 OFFSET ?)
"""
_MARK = "UPDATE events SET orphaned = ? WHERE kind = ? AND namespace = ? AND name = ?"
_READ_OBJECT = """
SELECT kind, namespace, name, type, reason, message, count, first_timestamp, last_timestamp FROM events
WHERE kind = ? AND namespace = ? AND name = ? ORDER BY last_timestamp, sequence
"""
_READ_ALL = """
SELECT kind, namespace, name, type, reason, message, count, first_timestamp, last_timestamp FROM events
WHERE :namespace IS NULL OR namespace = :namespace ORDER BY last_timestamp, sequence
"""


def record(connection: sqlite3.Connection, event: Event, *, now: str) -> None:
    """Count an event, in a write transaction."""
    about = event.about
    key = {"kind": about.kind, "namespace": about.namespace, "name": about.name}
    connection.execute(_COUNT, {**key, "type": event.type, "reason": event.reason, "message": event.message, "now": now})
    connection.execute(_TRIM_OBJECT, (about.kind, about.namespace, about.name, semantics.EVENTS_PER_OBJECT))
    connection.execute(_TRIM_ORPHANS, (semantics.EVENTS_OF_REMOVED,))


def mark_orphans(connection: sqlite3.Connection, key: tuple[str, str, str], *, is_removed: bool) -> None:
    """Note that the object has gone or come: its events stay, and count among those of removed objects or no longer."""
    connection.execute(_MARK, (is_removed, *key))
    if is_removed:
        connection.execute(_TRIM_ORPHANS, (semantics.EVENTS_OF_REMOVED,))


def read(connection: sqlite3.Connection, *, about: Key | None, namespace: str | None) -> tuple[Event, ...]:
    """Events in order of their last time."""
    from provisioner.model.metadata import Key

    if about is None:
        rows = connection.execute(_READ_ALL, {"namespace": namespace})
    elif namespace in (None, about.namespace):
        rows = connection.execute(_READ_OBJECT, (about.kind, about.namespace, about.name))
    else:
        return ()
    return tuple(Event(Key(*row[:3]), *row[3:]) for row in rows)
