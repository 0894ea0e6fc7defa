"""The Store over a SQLite file. What writes mean is in semantics.py, how objects are rows in shelf.py.

Safe to use from many threads and many processes at once. `read_raw` is for commands that only show: it gives the stored
documents without building the model, and neither it nor opening the store imports pydantic.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

from provisioner.model.clock import timestamp
from provisioner.model.errors import InvalidInput, SecretsLocked
from provisioner.store import semantics
from provisioner.store.protocol import Change, Event, Listing
from provisioner.store.sqlite import events, history, shelf
from provisioner.store.sqlite.database import BUSY_TIMEOUT_S, Database
from provisioner.store.sqlite.failures import unreadable
from provisioner.store.sqlite.parsed import Parsed
from provisioner.store.sqlite.resealing import rotate_key
from provisioner.store.sqlite.signpost_file import raise_if_signposted

if TYPE_CHECKING:
    from pathlib import Path

    from provisioner.model.clock import Clock, Identifiers
    from provisioner.model.metadata import Key, Resource

R = TypeVar("R", bound="Resource")
T = TypeVar("T")

Documents = list[dict[str, Any]]


class SqliteStore:
    """Resources and events in one file; creates and migrates it on opening.

    Args:
        path: The database file; its -wal and -shm files appear beside it. All three are private to the user.
        key_path: The file with the key that Secrets are sealed with; by default `<path>.key`. Made for the first Secret.
        clock: Stamps creations, deletions and events.
        identifiers: Makes uids.
        history_kept: How many changes can be watched from.
        busy_timeout_s: How long a write waits for writers before it raises StoreUnavailable.
        ignores_signpost: For whoever moves the objects himself; see signpost_file.py.

    Raises:
        StoreUnavailable: the file cannot be opened or written, is damaged, foreign, or of a newer version; so in every method.
        SecretsLocked: in whatever reads or writes the values of a Secret: the key file is missing, or another one.
        NotAllowed: in every write: the objects were moved to another store, or are on their way.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        identifiers: Identifiers,
        key_path: Path | None = None,
        history_kept: int = semantics.HISTORY_KEPT,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        ignores_signpost: bool = False,
    ) -> None:
        self._ignores_signpost = ignores_signpost
        self._clock = clock
        self._identifiers = identifiers
        self._history_kept = history_kept
        self._database = Database(str(path), key_path=str(key_path or ""), busy_timeout_s=busy_timeout_s)
        self._parsed = Parsed()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up all connections. Repeating it is harmless."""
        self._database.close()

    def get(self, kind: type[R], name: str, *, namespace: str = "") -> R:
        """As Store says."""
        key = (kind.KIND, namespace, name)

        def read() -> R:
            with self._database.connection() as connection:
                document = shelf.read_one(connection, key)
            if document is None:
                raise semantics.missing(_key(key))
            return self._typed(kind, document)

        return _with_todays_key(read)

    def list(self, kind: type[R], *, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Listing[R]:
        """As Store says."""

        def read() -> Listing[R]:
            with self._database.read() as connection:
                version = shelf.read_version(connection)
                documents = shelf.read_all(connection, kind.KIND, namespace=namespace, labels=labels)
            if namespace is None and not labels:
                items = self._parsed.objects(kind, documents, parse=lambda document: self._typed(kind, document))
            else:
                items = tuple(self._typed(kind, document) for document in documents)
            return Listing(items, str(version))

        return _with_todays_key(read)

    def read_raw(self, kind: str, namespace: str | None = None, *, labels: Mapping[str, str] | None = None) -> Documents:
        """The documents of a kind as they are stored, in the order of `list`; optional fields may be absent.

        The values of Secrets are as they lie in the file: sealed. No key is needed.
        """
        with self._database.connection() as connection:
            documents = shelf.read_all(connection, kind, namespace=namespace, labels=labels)
        return [json.loads(document) for document in documents]

    def create(self, resource: R, *, keeps_identity: bool = False) -> R:
        """As Store says."""
        with self._shelf() as mine:
            return semantics.create(
                mine, resource, uid=self._identifiers.uuid(), now=self._now(), keeps_identity=keeps_identity
            )

    def update(self, resource: R) -> R:
        """As Store says."""
        with self._shelf() as mine:
            return semantics.update(mine, resource, now=self._now())

    def update_status(self, resource: R) -> R:
        """As Store says."""
        with self._shelf() as mine:
            return semantics.update_status(mine, resource)

    def delete(self, key: Key, *, uid: str = "", version: str = "") -> None:
        """As Store says."""
        with self._shelf() as mine:
            semantics.delete(mine, key, uid=uid, version=version, now=self._now())

    def watch(self, since: str, *, timeout_s: float) -> tuple[Change, ...]:
        """As Store says; the time is real time, whatever the clock."""
        return history.wait(self._database, since, timeout_s=timeout_s, load=self._load)

    def record(self, event: Event) -> None:
        """As Store says."""
        with self._database.write() as connection:
            events.record(connection, semantics.told(event), now=self._now())

    def events(self, about: Key | None = None, *, namespace: str | None = None) -> tuple[Event, ...]:
        """As Store says."""
        with self._database.connection() as connection:
            return events.read(connection, about=about, namespace=namespace)

    def rotate_key(self, *, to: Path | None = None) -> tuple[str, int]:
        """Seal every Secret with a new key; its id, and how many Secrets there are. A crash leaves a store that can be read.

        Args:
            to: A key file to go over to, made if it does not exist; by default a new key in the file that is in use.

        Raises:
            SecretsLocked: a Secret cannot be read, or the key file cannot be written; nothing was changed.
        """
        return rotate_key(self._database, self._database.vault, to=str(to or ""))

    @contextmanager
    def _shelf(self) -> Iterator[shelf.SqliteShelf]:
        with self._database.write() as connection:
            if not self._ignores_signpost:
                raise_if_signposted(self._database.path)
            vault = self._database.vault
            yield shelf.SqliteShelf(connection, load=self._load, vault=vault, history_kept=self._history_kept)

    def _load(self, document: str) -> Resource:
        from provisioner.model import kinds

        try:
            return kinds.load(json.loads(document))
        except InvalidInput as error:
            raise unreadable(self._database.path, why=str(error)) from error

    def _typed(self, kind: type[R], document: str) -> R:
        try:
            found = kind.model_validate_json(document)
        except ValueError as error:  # pydantic's ValidationError, not imported here
            raise unreadable(self._database.path, why=str(error)) from error
        return self._database.vault.opened(found)

    def _now(self) -> str:
        return timestamp(self._clock.now_s())


def _with_todays_key(read: Callable[[], T]) -> T:
    """What it reads; read once more if the key was changed between the look at the database and the one at the key file."""
    try:
        return read()
    except SecretsLocked:
        return read()


def _key(parts: tuple[str, str, str]) -> Key:
    from provisioner.model.metadata import Key

    return Key(*parts)
