"""Base images by URL, each fetched once and then a local file named by its content.

    <sha256>.image        complete, checked, read-only; never rewritten
    <url key>.url         which content that URL had, for callers that give no digest
    <url key>.partial     what has arrived of a download, with its .validator
    <url key>.digest      the digest of a file:// image, with the size and times it was read at
    <url key>.lock        held while one process fetches; the others wait and then find it done

A complete image appears in one step (rename), so a process killed at any moment leaves nothing that looks like one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256 as sha256_of
from pathlib import Path
from urllib.parse import urlsplit

from provisioner.drivers.images.download import Download, DownloadLimits
from provisioner.drivers.images.formats import HEAD_BYTES, recognise
from provisioner.drivers.images.local_files import digest_of, path_of
from provisioner.drivers.images.protocol import LocalImage
from provisioner.drivers.volumes import Progress
from provisioner.file_locks import file_lock
from provisioner.model.clock import Clock
from provisioner.model.errors import ImageError, ImageRefused, InvalidInput

LOCK_POLL_S = 0.2
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ImageCache:
    """Implements Images. Several threads and processes may share one directory."""

    def __init__(self, directory: Path, *, clock: Clock, limits: DownloadLimits | None = None) -> None:
        self._directory = directory
        self._clock = clock
        self._limits = limits or DownloadLimits()

    def fetch(self, url: str, *, sha256: str = "", progress: Progress | None = None) -> LocalImage:
        """See Images.fetch."""
        wanted = sha256.lower()
        if wanted and not _SHA256.fullmatch(wanted):
            raise InvalidInput(f"{sha256!r} is no SHA-256 digest", why="it has 64 hexadecimal digits")
        scheme = urlsplit(url).scheme
        if scheme not in {"file", "http", "https"}:
            raise InvalidInput(f"{url!r} is no URL of an image", why=f"the scheme {scheme!r} is not http, https or file")
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if scheme == "file":
                return self._from_file(url, wanted, progress)
            return self._from_web(url, wanted, progress)
        except OSError as error:
            raise ImageError(f"the image {url} cannot be had", why=f"{error.filename}: {error.strerror}") from error

    def _from_file(self, url: str, wanted: str, progress: Progress | None) -> LocalImage:
        path = path_of(url)
        found = digest_of(path, note=self._file_of(url, "digest"), progress=progress)
        if wanted and found != wanted:
            raise _wrong_digest(url, wanted=wanted, found=found)
        return _described(path, found)

    def _from_web(self, url: str, wanted: str, progress: Progress | None) -> LocalImage:
        if done := self._already(url, wanted):
            return done
        with self._lock(url, progress):
            return self._already(url, wanted) or self._download(url, wanted, progress)

    def _already(self, url: str, wanted: str) -> LocalImage | None:
        digest = wanted or self._noted_digest(url)
        path = self._directory / f"{digest}.image"
        return _described(path, digest) if digest and path.is_file() else None

    def _noted_digest(self, url: str) -> str:
        try:
            noted = json.loads(self._file_of(url, "url").read_text())
        except (OSError, ValueError):
            return ""
        return str(noted.get("sha256", "")) if isinstance(noted, dict) and noted.get("url") == url else ""

    def _download(self, url: str, wanted: str, progress: Progress | None) -> LocalImage:
        partial = self._file_of(url, "partial")
        download = Download(url, partial, clock=self._clock, limits=self._limits, progress=progress)
        found = download.run()
        try:
            if wanted and found != wanted:
                raise _wrong_digest(url, wanted=wanted, found=found)
            _described(partial, found)
        except ImageRefused:
            download.discard()
            raise
        complete = self._directory / f"{found}.image"
        partial.chmod(0o444)
        _flush(partial)
        partial.replace(complete)
        download.discard()
        self._note(url, found)
        return _described(complete, found)

    def _note(self, url: str, digest: str) -> None:
        file = self._file_of(url, "url")
        fresh = file.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(json.dumps({"url": url, "sha256": digest}))
        fresh.replace(file)

    def _file_of(self, url: str, kind: str) -> Path:
        return self._directory / f"{sha256_of(url.encode()).hexdigest()[:32]}.{kind}"

    @contextmanager
    def _lock(self, url: str, progress: Progress | None) -> Iterator[None]:
        """Hold the URL's lock. Waits as long as its holder makes progress, and tells of it."""
        partial, lock = self._file_of(url, "partial"), file_lock(self._file_of(url, "lock"))
        try:
            seen, patience_s = -1, 0.0
            while not lock.try_acquire():
                size = partial.stat().st_size if partial.exists() else 0
                patience_s = self._limits.idle_s * self._limits.attempts if size != seen else patience_s - LOCK_POLL_S
                if patience_s <= 0:
                    raise ImageError(f"the image {url} cannot be had", why="another process fetches it and makes no progress")
                if size != seen and progress is not None:
                    progress(size, 0)
                seen = size
                self._clock.sleep(LOCK_POLL_S)
            yield
        finally:
            lock.release()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _described(path: Path, digest: str) -> LocalImage:
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        image = recognise(file.read(HEAD_BYTES), size_bytes=size_bytes)
    return LocalImage(
        path=path,
        sha256=digest,
        size_bytes=size_bytes,
        virtual_size_bytes=image.virtual_size_bytes,
        format=image.name,
    )


def _wrong_digest(url: str, *, wanted: str, found: str) -> ImageRefused:
    return ImageRefused(
        f"the image {url} is not the one that was asked for",
        why=f"its SHA-256 is {found}, and {wanted} was expected",
        hint="check the digest that the publisher gives, and whether the image behind the URL was replaced",
        context={"url": url, "expected": wanted, "found": found},
    )
