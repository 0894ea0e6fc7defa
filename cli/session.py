"""What one run of the command works with: the store, the tables, the clock. Made when asked for: most need little."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cli.places import cache_dir, config_dir, key_path, store_path
from cli.store_choice import is_kubernetes
from provisioner.model.errors import NotFound, StoreUnavailable, Unsupported

if TYPE_CHECKING:
    from pathlib import Path

    from cli.cluster import WatchedLease
    from provisioner.model.metadata import Key, Resource
    from provisioner.model.tables import Tables
    from provisioner.store.kubernetes.leader_lease import LeaderLease
    from provisioner.store.protocol import Store
    from provisioner.store.sqlite import ControllerLock, SqliteStore

MACHINE_KINDS = ("VirtualMachine", "VMInstance")


class Session:
    """Lazily opened parts; close at the end of the process. `key_file` as in `--key-file`; empty: the usual place."""

    def __init__(self, *, key_file: str = "") -> None:
        self.key_path = key_path(key_file)

    @cached_property
    def clock(self) -> Any:
        """The system's clock."""
        from provisioner.clocks import SystemClock

        return SystemClock()

    @cached_property
    def identifiers(self) -> Any:
        """The system's randomness."""
        from provisioner.clocks import SystemIdentifiers

        return SystemIdentifiers()

    @cached_property
    def store(self) -> Store:
        """The store of this user, or of the cluster that was chosen.

        Raises:
            StoreUnavailable, InvalidInput: see the store.
        """
        if not is_kubernetes():
            return self.file_store
        from cli.cluster import open_store

        return open_store(clock=self.clock, tables=self.tables)

    @cached_property
    def file_store(self) -> SqliteStore:
        """The store of this user.

        Raises:
            StoreUnavailable: see the store.
            Unsupported: a cluster was chosen.
        """
        if is_kubernetes():
            raise Unsupported(
                "the store of a cluster has no key file", hint="its API server encrypts Secrets, if it is told to"
            )
        from provisioner.store.open import open_store

        return open_store(store_path(), clock=self.clock, identifiers=self.identifiers, key_path=self.key_path)

    @cached_property
    def tables(self) -> Tables:
        """The built-in tables with those of the operator (`tables.d/*.yaml` in the configuration directory)."""
        from provisioner.model.tables import Tables

        tables = Tables.builtin()
        for path in sorted((config_dir() / "tables.d").glob("*.yaml")):
            tables = tables.extended(_text_of(path), source=str(path))
        return tables

    @property
    def now_s(self) -> float:
        """Seconds since the epoch."""
        return float(self.clock.now_s())

    def raw(self, kind: str, *, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Objects of a kind as plain JSON, without making resources of them."""
        if not is_kubernetes():
            return self.file_store.read_raw(kind, namespace, labels=labels)
        from provisioner.model.kinds import KINDS

        return [each.as_json() for each in self.store.list(KINDS[kind], namespace=namespace, labels=labels).items]

    def raw_one(self, kind: str, name: str, *, namespace: str = "") -> dict[str, Any]:
        """One object as plain JSON.

        Raises:
            NotFound: it does not exist; the hint names the nearest that does.
        """
        items = {item["metadata"]["name"]: item for item in self.raw(kind, namespace=namespace)}
        if name not in items:
            raise no_such(kind, name, namespace=namespace, known=items)
        return items[name]

    def controller_lock(self) -> ControllerLock | WatchedLease:
        """The right to run the control loop of this store; that of a cluster is left to its controllers."""
        import sys

        if is_kubernetes():
            from cli.cluster import WatchedLease

            return WatchedLease(self.leader_lease())
        from provisioner.store.sqlite import ControllerLock

        words = ["hikube", *sys.argv[1:4]]
        _ = self.file_store  # makes the directory
        return ControllerLock(store_path(), clock=self.clock, command=" ".join(words))

    def leader_lease(self, *, lost: Callable[[], None] = lambda: None) -> LeaderLease:
        """The right to run the control loop of the cluster; `lost` is called when it has passed to somebody else."""
        from cli.cluster import leader_lease

        return leader_lease(clock=self.clock, identifiers=self.identifiers, lost=lost)

    def find(self, key: Key) -> Resource | None:
        """The stored object, or None. A Secret comes with its values sealed: to see and delete it needs no key."""
        from provisioner.model.kinds import KINDS, load

        if key.kind == "Secret":
            items = [item for item in self.raw(key.kind, namespace=key.namespace) if item["metadata"]["name"] == key.name]
            return load(items[0]) if items else None
        try:
            return self.store.get(KINDS[key.kind], key.name, namespace=key.namespace)
        except NotFound:
            return None

    @property
    def cache_dir(self) -> Path:
        """Where images are kept."""
        return cache_dir()


def _text_of(path: Path) -> str:
    from provisioner.model.documents import decode

    try:
        return decode(path.read_bytes(), source=str(path))
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be read", why=str(error)) from error


def no_such(kind: str, name: str, *, namespace: str, known: Iterable[str]) -> NotFound:
    """The error for a name that nothing has."""
    from provisioner.model.suggestions import nearest

    meant = nearest(name, list(known))
    where = f" in namespace {namespace}" if namespace else ""
    return NotFound(f"no {kind} is called {name!r}{where}", hint=f"did you mean {meant}?" if meant else "")
