"""The seam to where base images come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from provisioner.drivers.volumes import Progress


@dataclass(frozen=True, slots=True)
class LocalImage:
    """A base image on this machine, complete and checked."""

    path: Path
    sha256: str
    size_bytes: int
    virtual_size_bytes: int
    """What a guest sees; equal to size_bytes for raw images."""
    format: str
    """qcow2 or raw, read from the file itself."""


class Images(Protocol):
    """Fetches base images into a cache that all processes of this user share."""

    def fetch(self, url: str, *, sha256: str = "", progress: Progress | None = None) -> LocalImage:
        """The image as a local file; downloads it at most once, resumes a broken download, checks the digest.

        Args:
            url: http(s)://… or file:///….
            sha256: 64 hexadecimal digits that the content must have; empty accepts any and returns what it is.
            progress: told while bytes arrive.

        Raises:
            InvalidInput: the URL's scheme is unknown.
            ImageError: not found, or cannot be read.
            ImageRefused: its digest differs, or it is in no format that can be used; a wrong download is removed.
        """
        ...
