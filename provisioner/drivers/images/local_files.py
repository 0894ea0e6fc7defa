"""Images that are files of this machine: used in place, never copied, hashed once as long as they do not change."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from provisioner.drivers.volumes import Progress
from provisioner.model.errors import ImageError, InvalidInput

BLOCK_BYTES = 1 << 20


def path_of(url: str) -> Path:
    """The file that a file:// URL names.

    Raises:
        InvalidInput: it names a file of another machine, or none by an absolute path.
    """
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise InvalidInput(f"{url!r} is no URL of a local file", why="write file:///absolute/path")
    return Path(unquote(parts.path))


def digest_of(path: Path, *, note: Path, progress: Progress | None) -> str:
    """The file's SHA-256; read from `note` if size, inode and time of change are those of the note.

    Raises:
        ImageError: not there, no regular file, or changed while it was read.
    """
    before = _identity(path)
    noted = _read(note)
    if noted.get("identity") == before:
        return str(noted["sha256"])
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done, before["size"])
    if _identity(path) != before:
        raise ImageError(f"the image {path} cannot be used", why="it changed while it was read")
    fresh = note.with_suffix(f".{os.getpid()}.new")
    fresh.write_text(json.dumps({"identity": before, "sha256": digest.hexdigest()}))
    fresh.replace(note)
    return digest.hexdigest()


def _identity(path: Path) -> dict[str, Any]:
    try:
        status = path.stat()
    except OSError as error:
        raise ImageError(f"the image {path} cannot be read", why=error.strerror or str(error)) from error
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"the image {path} cannot be read", why="it is no regular file")
    return {"path": str(path), "size": status.st_size, "mtime_ns": status.st_mtime_ns, "inode": status.st_ino}


def _read(note: Path) -> dict[str, Any]:
    try:
        noted = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}
