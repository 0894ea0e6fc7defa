"""A file of this machine that goes to a host as it is: looked at first, hashed, and never followed.

What `recognise` refuses (a backing file, an external data file, encryption) is refused here too: a host would open what the
file names, with its own rights. The bytes that were judged are the bytes that are sent, also if somebody changes the file
meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Self, cast

from provisioner.drivers.images.formats import HEAD_BYTES, ImageFormat, recognise
from provisioner.model.errors import ImageError, ImageRefused, NotFound

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the first bytes said."""

    head: bytes
    image: ImageFormat


class UploadFile:
    """One file, open for reading; a context manager."""

    def __init__(self, path: Path) -> None:
        """Open and judge it.

        Raises:
            NotFound: not there.
            ImageError: not readable, or no regular file.
            ImageRefused: in no format that can be used.
        """
        self.path = path
        self._file = _opened(path)
        self.size_bytes = os.fstat(self._file.fileno()).st_size
        try:
            self._judged = _judged(self._file, size_bytes=self.size_bytes)
        except ImageRefused:
            self._file.close()
            raise
        self._written = _last_written(self._file)
        self._done = 0

    @property
    def format(self) -> str:
        """qcow2 or raw."""
        return self._judged.image.name

    @property
    def virtual_size_bytes(self) -> int:
        """What a guest will see."""
        return self._judged.image.virtual_size_bytes

    def content(self) -> BinaryIO:
        """Itself, as what the drivers read from."""
        return cast(BinaryIO, self)

    def read(self, size: int = -1) -> bytes:
        """The next bytes.

        Raises:
            ImageRefused: the file was changed since it was opened.
        """
        piece = self._file.read(size)
        judged = self._judged.head[self._done : self._done + len(piece)]
        if piece[: len(judged)] != judged or _last_written(self._file) != self._written:
            raise ImageRefused(f"{self.path} cannot be used", why="it was changed while it was read")
        self._done += len(piece)
        return piece

    def seek(self, offset: int) -> int:
        """Go on reading from there."""
        self._done = self._file.seek(offset)
        return self._done

    def sha256(self) -> str:
        """The digest of the whole file, which is read once for it; then it is at its beginning."""
        digest = hashlib.sha256()
        self.seek(0)
        while block := self.read(BLOCK_BYTES):
            digest.update(block)
        self.seek(0)
        return digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()


def _last_written(file: IO[bytes]) -> tuple[int, int]:
    now = os.fstat(file.fileno())
    return now.st_mtime_ns, now.st_size


def _judged(file: IO[bytes], *, size_bytes: int) -> _Judged:
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return _Judged(head, recognise(head, size_bytes=size_bytes))


def _opened(path: Path) -> IO[bytes]:
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise NotFound(f"no file {path}") from error
    except OSError as error:
        raise ImageError(f"the file {path} cannot be read", why=error.strerror or str(error)) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ImageError(f"the file {path} cannot be read", why="it is no regular file")
    return file
