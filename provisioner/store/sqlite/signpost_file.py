"""The signpost of a store whose objects are on their way, or have left: a file beside the database, `<database>.moved`.

While it is there nobody writes into the store, and nobody runs its control loop (see store/moving/signposts.py). Looked for in
every write, so it must stay cheap. A new one is whole and on the disk before it counts, as is that it is gone.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from provisioner.store.sqlite import files
from provisioner.store.sqlite.failures import translated

if TYPE_CHECKING:
    from provisioner.store.moving.signposts import Signpost

_BYTES_MAX = 4_096


def path_of(database: str) -> str:
    """The file."""
    return f"{os.path.abspath(database)}.moved"


def read_signpost(database: str) -> Signpost | None:
    """The signpost; None if there is none. Raises StoreUnavailable: it cannot be read."""
    with translated(database):
        try:
            with open(path_of(database), "rb") as file:
                text = file.read(_BYTES_MAX)
        except FileNotFoundError:
            return None
    from provisioner.store.moving.signposts import Signpost

    return Signpost.from_text(text.decode(errors="replace"))


def write_signpost(database: str, signpost: Signpost | None) -> None:
    """Put that one in its place, or take it away. Raises StoreUnavailable: as read_signpost."""
    path = path_of(database)
    with translated(database):
        if signpost is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        else:
            _write(path, signpost.as_text())
        _flush_directory(path)


def raise_if_signposted(database: str) -> None:
    """Raises NotAllowed: its objects are on their way, or have left."""
    if not os.path.exists(path_of(database)):
        return
    from provisioner.store.moving.signposts import raise_for

    raise_for(read_signpost(database), store=f"the store {database}", undo=f"rm {path_of(database)}")


def _write(path: str, text: str) -> None:
    files.make_directories(os.path.dirname(path))
    beside = f"{path}.new-{os.getpid()}"
    descriptor = os.open(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def _flush_directory(path: str) -> None:
    """Where directories can be opened for that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
