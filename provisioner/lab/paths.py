"""Where a lab keeps its things: images in the user's cache, labs in the user's data, sockets in a short private folder.

Only names are made here; the folders are made by who writes into them. Sockets have a folder of their own because the path of a
Unix socket must stay under 108 bytes, and data folders can be anywhere.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path


def image_cache() -> Path:
    """Folder of built images; safe to delete when no lab runs."""
    return _user_dir("HIKUBE_CACHE_DIR", "XDG_CACHE_HOME", ".cache") / "lab"


def lab_dir(name: str) -> Path:
    """Folder of one lab (0700)."""
    return labs_dir() / name


def labs_dir() -> Path:
    """Folder that holds one folder per lab."""
    return _user_dir("HIKUBE_DATA_DIR", "XDG_DATA_HOME", ".local/share") / "labs"


def socket_path(host_dir: Path, kind: str) -> Path:
    """A short path for a socket of the host whose state is in `host_dir`."""
    digest = hashlib.sha256(str(host_dir).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"hikube-{os.getuid()}" / f"{digest}.{kind}"


def _user_dir(own: str, xdg: str, fallback: str) -> Path:
    if value := os.environ.get(own):
        return Path(value)
    if value := os.environ.get(xdg):
        return Path(value) / "hikube"
    return Path.home() / fallback / "hikube"
