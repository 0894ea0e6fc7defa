"""Seals the values of Secrets on their way into the database, and opens them on their way out.

The database says which key is in use (table `sealing`), the key file has it. Whoever writes looks there inside his
transaction, so a process that knows only the keys of yesterday reads the file again instead of sealing with a key that is
about to go. The first Secret makes the key file, if there is none; from then on a missing file is an error and never made anew.
Everything that is no Secret passes untouched and needs no key.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, TypeVar

from provisioner.model.errors import SecretsLocked
from provisioner.store.sqlite.key_file import KeyFile, SealingKey, locked, new_key

if TYPE_CHECKING:
    from provisioner.model.metadata import Resource

R = TypeVar("R", bound="Resource")

KIND = "Secret"
_HINT = "put the file back from its copy, or name the right one with HIKUBE_KEY_FILE; docs/how-to/keep-secrets.md"


class Sealed(str):
    """A value that could not be opened, as it was stored: it may be deleted or written back, and is never taken for text."""

    __slots__ = ()


class Vault:
    """The Secrets of one database, and the file with their keys. Threads may share it."""

    def __init__(self, key_path: str) -> None:
        self.file = KeyFile(key_path)
        self._keys: dict[str, SealingKey] = {}
        self._lock = threading.Lock()

    def sealed(self, connection: sqlite3.Connection, resource: R) -> R:
        """The object as it is stored. For a Secret inside a write transaction only.

        Raises:
            SecretsLocked: the key in use is not to be had.
        """
        if resource.kind != KIND:
            return resource
        data = resource.spec.data
        if all(isinstance(value, Sealed) for value in data.values()):
            return resource
        return self.sealed_with(self.key_in_use(connection), resource)

    def sealed_with(self, key: SealingKey, secret: R) -> R:
        """The Secret with every value that is text sealed with that key."""
        from provisioner.store.sqlite.sealing import seal

        uid = secret.metadata.uid
        data = {
            name: value if isinstance(value, Sealed) else seal(value, key=key, uid=uid, name=name)
            for name, value in secret.spec.data.items()
        }
        return _with(secret, data)

    def opened(self, resource: R) -> R:
        """The object with its values in plain text.

        Raises:
            SecretsLocked: the key is not to be had, or a value was not sealed for this place.
        """
        if resource.kind != KIND:
            return resource
        uid = resource.metadata.uid
        return _with(resource, {name: self.open(value, uid=uid, name=name) for name, value in resource.spec.data.items()})

    def opened_if_possible(self, resource: R) -> R:
        """The object opened, or with values that stay sealed: what is to be deleted need not be read."""
        try:
            return self.opened(resource)
        except SecretsLocked:
            return _with(resource, {name: Sealed(value) for name, value in resource.spec.data.items()})

    def open(self, token: str, *, uid: str, name: str) -> str:
        """One stored value in plain text. Raises as `opened`. The history keeps empty values, and they stay so."""
        if not token:
            return ""
        from provisioner.store.sqlite.sealing import key_id_of, unseal

        key_id = key_id_of(token)
        value = unseal(token, key=self.key(key_id), uid=uid, name=name) if key_id else None
        if value is None:
            why = f"the value {name} of the Secret with uid {uid} was changed, or was sealed for another place"
            hint = "restore the store from a copy, or delete that Secret: the next start of its VM makes new keys"
            raise locked(self.file.path, why=why, hint=hint, uid=uid)
        return value

    def key(self, key_id: str) -> SealingKey:
        """The key of that id; the file is read again if it is not known.

        Raises:
            SecretsLocked: the file does not have it.
        """
        with self._lock:
            if key_id not in self._keys:
                self._keys = {key.id: key for key in self.file.read()}
            if key_id in self._keys:
                return self._keys[key_id]
            why = f"it has another key, {key_id} is needed" if self._keys else f"it is missing; key {key_id} is needed"
            raise locked(self.file.path, why=why, hint=_HINT, key_id=key_id)

    def key_in_use(self, connection: sqlite3.Connection) -> SealingKey:
        """The key to seal with, inside a write transaction. Raises SecretsLocked: it is not to be had."""
        key_id: str = connection.execute("SELECT key_id FROM sealing").fetchone()[0]
        return self.key(key_id) if key_id else self._first_key(connection)

    def _first_key(self, connection: sqlite3.Connection) -> SealingKey:
        """The key of the file, made where there is none; on the disk before anything is sealed with it."""
        key = (self.file.read() or self.file.create(new_key()))[0]
        connection.execute("UPDATE sealing SET key_id = ?", (key.id,))
        return key


def _with(secret: R, data: dict[str, str]) -> R:
    return secret.model_copy(update={"spec": secret.spec.model_copy(update={"data": data})})
