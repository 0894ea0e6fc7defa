"""A path for a database, and how these stories open it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from provisioner.clocks import ManualClock, SeededIdentifiers
from provisioner.store.sqlite import SqliteStore

Opener = Callable[..., SqliteStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "hikube.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Opener]:
    """Opens the store at `path`; closed at the end."""
    with ExitStack() as stores:

        def make(where: Path = path, **settings: Any) -> SqliteStore:
            store = SqliteStore(where, clock=ManualClock(), identifiers=SeededIdentifiers(), **settings)
            return stores.enter_context(store)

        yield make
