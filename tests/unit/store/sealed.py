"""What the stories about Secrets at rest share: a canary, and how its traces are found."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from provisioner.model.secret import Secret
from provisioner.store.sqlite import SqliteStore

CANARY = "-----BEGIN OPENSSH PRIVATE KEY----- canary-7f3a"


def traces(directory: Path, text: str = "canary-7f3a") -> list[str]:
    """Files that hold the text, in plain or in base64 at any of its three offsets."""
    wanted = [text.encode()]
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + text.encode())
        wanted.append(whole[4 : len(whole) - 4] if shift else whole[: len(whole) - 4])
    return [file.name for file in directory.rglob("*") if file.is_file() and any(one in file.read_bytes() for one in wanted)]


def value(store: SqliteStore, name: str = "access") -> str:
    """What the Secret has."""
    return store.get(Secret, name, namespace="default").spec.data["hostKey"]


@pytest.fixture(name="key_path")
def path_of_the_key(path: Path) -> Path:
    """Beside the database."""
    return path.with_name(path.name + ".key")
