"""Where hikube keeps things on this machine. Each place can be moved by an environment variable."""

from __future__ import annotations

import os
from pathlib import Path

from cli.store_choice import is_kubernetes


def _place(variable: str, kind: str) -> Path:
    chosen = os.environ.get(variable)
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(getattr(platformdirs, f"user_{kind}_dir")("hikube", appauthor=False))


def data_dir() -> Path:
    """State: the store, the logs, labs and keys (`HIKUBE_DATA_DIR`)."""
    return _place("HIKUBE_DATA_DIR", "data")


def cache_dir() -> Path:
    """What can be fetched again: images (`HIKUBE_CACHE_DIR`)."""
    return _place("HIKUBE_CACHE_DIR", "cache")


def config_dir() -> Path:
    """What the operator writes: tables of GPUs, instance types and images (`HIKUBE_CONFIG_DIR`)."""
    return _place("HIKUBE_CONFIG_DIR", "config")


def store_path() -> Path:
    """The database file."""
    return data_dir() / "hikube.db"


def has_store() -> bool:
    """Whether there is anything to look into: a cluster always has a store, the file may not have been made."""
    return is_kubernetes() or store_path().exists()


def key_path(given: str = "") -> Path:
    """The file with the key that Secrets are sealed with: as given, `HIKUBE_KEY_FILE`, or beside the database."""
    chosen = given or os.environ.get("HIKUBE_KEY_FILE")
    return Path(chosen).expanduser() if chosen else data_dir() / "hikube.db.key"
