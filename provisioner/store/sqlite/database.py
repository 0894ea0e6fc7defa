"""Connections to one database file: lent for one operation, shared by threads one after the other, never by two at once.

Writes take their turn: first among the threads of this process, then (BEGIN IMMEDIATE) among processes. Reads see one moment
and wait for nobody. Every wait is bounded. Not to be carried across a fork: SQLite's locks belong to the process that
took them.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from provisioner.model.errors import StoreUnavailable
from provisioner.store.sqlite import files, schema
from provisioner.store.sqlite.failures import translated, unavailable
from provisioner.store.sqlite.vault import Vault

BUSY_TIMEOUT_S = 10.0
"""A write takes milliseconds; whoever waits this long waits for something that hangs."""
IDLE_KEPT = 8

# FULL: a claim that was acknowledged survives a power cut. secure_delete: removed keys do not linger in free pages.
_PRAGMAS = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;"


class Database:
    """A database file with the present schema, and the vault for its Secrets."""

    def __init__(self, path: str, *, key_path: str = "", busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = os.path.abspath(path)
        self.vault = Vault(key_path or f"{self.path}.key")
        self._busy_timeout_s = busy_timeout_s
        self._process = os.getpid()
        self._idle: list[sqlite3.Connection] = []
        self._is_closed = False
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._written = threading.Condition()
        self._writes = 0
        with translated(self.path):
            files.make_private(self.path)
        with self.connection() as connection:
            schema.migrate(connection, path=self.path, vault=self.vault)

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection outside of any transaction; what is left open in it is rolled back.

        Raises:
            StoreUnavailable: for whatever SQLite raises inside.
        """
        connection = self._take()
        try:
            with translated(self.path):
                yield connection
        finally:
            self._give_back(connection)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A look at one moment of the database."""
        with self.connection() as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it happens, or nothing if the body raises. Durable when it returns."""
        with self._my_turn(), self.connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        with self._written:
            self._writes += 1
            self._written.notify_all()

    def writes(self) -> int:
        """How many transactions this process has written; to be handed to `wait_for_write`."""
        with self._written:
            return self._writes

    def wait_for_write(self, seen: int, *, timeout_s: float) -> bool:
        """Wait until this process has written since `seen`; False after `timeout_s`."""
        with self._written:
            return self._written.wait_for(lambda: self._writes != seen, timeout=timeout_s)

    def close(self) -> None:
        """Close all connections that are not in use; those in use close when they are given back. Repeating it is harmless."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=self._busy_timeout_s):
            raise self._unusable(f"another thread has been writing for {self._busy_timeout_s:g} s")
        try:
            yield
        finally:
            self._turn.release()

    def _take(self) -> sqlite3.Connection:
        if os.getpid() != self._process:
            raise self._unusable("it was opened by the process that this one was forked from")
        with self._lock:
            if self._is_closed:
                raise self._unusable("it was closed")
            if self._idle:
                return self._idle.pop()
        with translated(self.path):
            return self._connect()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        is_clean = _rolled_back(connection)
        with self._lock:
            keep = is_clean and not self._is_closed and len(self._idle) < IDLE_KEPT
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False)
        try:
            connection.executescript(_PRAGMAS)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _unusable(self, why: str) -> StoreUnavailable:
        return unavailable(self.path, why=why, hint="")


def _rolled_back(connection: sqlite3.Connection) -> bool:
    """Whether the connection is outside of any transaction now; if not, closing it has the same effect."""
    try:
        connection.rollback()
    except sqlite3.Error:
        return False
    return True
