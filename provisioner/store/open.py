"""Opening the store that a command works on. Where it lies by default is the command line's to decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from provisioner.model.clock import Clock, Identifiers


def open_store(
    path: Path, *, clock: Clock, identifiers: Identifiers, key_path: Path | None = None, ignores_signpost: bool = False
) -> SqliteStore:
    """The store in that file; file and directories are created private to the user where missing, an older schema is migrated.

    Secrets are sealed with the key in `key_path`; by default in a file beside the database. `ignores_signpost`: for whoever
    moves the objects to another store, or from there.

    Raises:
        StoreUnavailable: as SqliteStore; nothing was changed then.
    """
    return SqliteStore(path, clock=clock, identifiers=identifiers, key_path=key_path, ignores_signpost=ignores_signpost)
