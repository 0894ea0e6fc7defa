"""The embedded store: one SQLite file in WAL mode beside its lock for the control loop.

This is the only place that imports sqlite3. Importing it must stay cheap: no pydantic, no kinds, until a typed object is
asked for.
"""

from provisioner.store.sqlite.controller_lock import ControllerLock, Holder
from provisioner.store.sqlite.store import SqliteStore

__all__ = ["ControllerLock", "Holder", "SqliteStore"]
