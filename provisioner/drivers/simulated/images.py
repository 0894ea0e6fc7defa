"""Base images without a network: small files that look like images, one per URL.

A URL that nobody staged is an image whose content is whatever the caller's digest promises; a staged one can be missing or have
another digest. The files are real, so that they can be uploaded like any other.
"""

from __future__ import annotations

import hashlib
import struct
import threading
from dataclasses import dataclass
from pathlib import Path

from provisioner.drivers.images.protocol import LocalImage
from provisioner.drivers.simulated.faults import Call
from provisioner.drivers.simulated.world import World
from provisioner.drivers.volumes import Progress
from provisioner.model.errors import ImageError, ImageRefused, InvalidInput

_SCHEMES = ("http://", "https://", "file://")
_FORMATS = ("qcow2", "raw")
_QCOW2_HEADER = struct.Struct(">4sIQIIQIIQQIIQ")
_END_OF_EXTENSIONS = bytes(8)


@dataclass(frozen=True, slots=True)
class SimulatedImage:
    """How the image behind a URL shall be."""

    virtual_size_bytes: int = 2 * 1024**3
    size_bytes: int = 64 * 1024
    format: str = "qcow2"
    """qcow2 or raw; with any other it is refused."""
    sha256: str = ""
    """The digest that its content has; empty: whatever the caller expects, or that of the file."""
    is_missing: bool = False


class SimulatedImages:
    """See drivers.images.protocol.Images."""

    def __init__(self, directory: Path, *, world: World) -> None:
        self.directory = directory
        self._world = world
        self._staged: dict[str, SimulatedImage] = {}

    def stage(self, url: str, image: SimulatedImage) -> None:
        """Decide what is behind that URL."""
        self._staged[url] = image

    def fetch(self, url: str, *, sha256: str = "", progress: Progress | None = None) -> LocalImage:
        """See the protocol."""
        call = self._world.calls.add(Call("", "images.fetch", url, self._world.clock.monotonic_s()))
        fault = self._world.faults.take(host="", call="images.fetch", subject=url)
        if fault is not None:
            raise fault.error
        if not url.startswith(_SCHEMES):
            raise InvalidInput(f"The scheme of {url!r} is unknown", hint="http://, https:// or file://")
        image = self._staged.get(url, SimulatedImage())
        if image.is_missing:
            raise ImageError(f"The image {url} cannot be fetched", why="404 Not Found")
        path = self._file(url, image)
        digest = image.sha256 or sha256 or hashlib.sha256(path.read_bytes()).hexdigest()
        if sha256 and digest != sha256:
            path.unlink()
            raise ImageRefused(f"The image {url} is not the one expected", why=f"SHA-256 is {digest}, expected {sha256}")
        if image.format not in _FORMATS:
            path.unlink()
            raise ImageRefused(f"The image {url} cannot be used", why=f"it is {image.format}, not qcow2 or raw")
        if progress is not None:
            progress(image.size_bytes, image.size_bytes)
        call.went_well = True
        return LocalImage(path, digest, image.size_bytes, image.virtual_size_bytes, image.format)

    def _file(self, url: str, image: SimulatedImage) -> Path:
        path = self.directory / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.{image.format}"
        if not path.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            header = _QCOW2_HEADER.pack(b"QFI\xfb", 2, 0, 0, 16, image.virtual_size_bytes, 0, 0, 0, 0, 0, 0, 0)
            body = header + _END_OF_EXTENSIONS if image.format == "qcow2" else b""
            draft = path.with_suffix(f".{threading.get_ident()}")
            draft.write_bytes((body + url.encode()).ljust(image.size_bytes, b"\0")[: image.size_bytes])
            draft.replace(path)  # at once: another thread must not meet half a file
        return path
