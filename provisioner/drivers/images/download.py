"""One download over HTTP into a partial file: resumed, bounded, hashed while it arrives.

    (nothing) ──200──► partial + validator ──connection lost──► the same, longer
                          │         ▲                               │
                          │         └──────206 from where it ended──┘
                          │     200 again: the server cannot resume, or the content changed ──► from the start
                          ▼
                     complete, with its SHA-256

A resumption asks with If-Range and the validator (ETag or Last-Modified) that was kept beside the partial file, so that halves
of two images never meet; without a validator it begins again. What is given up on stays on the disk for the next call.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

from provisioner.drivers.volumes import Progress
from provisioner.model.clock import Clock
from provisioner.model.errors import ImageError

BLOCK_BYTES = 1 << 20
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """Where a download gives up. There is no limit on its whole time: a slow line is no failure, a silent one is."""

    max_bytes: int = 64 << 30
    connect_s: float = 15.0
    idle_s: float = 60.0
    """Without a single byte."""
    attempts: int = 5
    """In a row without a single new byte."""
    attempts_in_all: int = 100
    backoff_s: float = 1.0
    """Doubles with each attempt in a row, up to 30 s."""
    redirects: int = 5


class _Interrupted(Exception):
    """The attempt broke in a way that another may survive; says why."""


class Download:
    """One URL, its partial file, and the validator beside it. One caller at a time: the cache holds a lock."""

    def __init__(self, url: str, partial: Path, *, clock: Clock, limits: DownloadLimits, progress: Progress | None) -> None:
        self._url = url
        self._partial = partial
        self._note = partial.with_suffix(".validator")
        self._clock = clock
        self._limits = limits
        self._progress = progress
        self._digest = hashlib.sha256()
        self._done = 0

    def run(self) -> str:
        """Fetch what is missing; returns the SHA-256 of the whole.

        Raises:
            ImageError: refused or not found by the server, too large, no space, or too many attempts without progress.
        """
        self._take_up()
        failures = 0
        with self._client() as client:
            for _ in range(self._limits.attempts_in_all):
                before = self._done
                try:
                    self._attempt(client)
                    return self._digest.hexdigest()
                except _Interrupted as error:
                    why = str(error)
                failures = 1 if self._done > before else failures + 1
                if failures >= self._limits.attempts:
                    break
                self._clock.sleep(min(self._limits.backoff_s * 2 ** (failures - 1), 30.0))
        raise self._failed(why, hint="what has arrived is kept: the next attempt goes on from there")

    def discard(self) -> None:
        """Remove what has arrived."""
        self._partial.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _client(self) -> httpx.Client:
        timeout = httpx.Timeout(self._limits.idle_s, connect=self._limits.connect_s)
        return httpx.Client(timeout=timeout, follow_redirects=True, max_redirects=self._limits.redirects)

    def _take_up(self) -> None:
        """Hash what an earlier call left, if it can be resumed."""
        if not self._validator():
            self.discard()
            return
        with self._partial.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                self._digest.update(block)
                self._done += len(block)

    def _validator(self) -> str:
        try:
            noted = json.loads(self._note.read_text())
        except (OSError, ValueError):
            return ""
        is_ours = self._partial.exists() and isinstance(noted, dict) and noted.get("url") == self._url
        return str(noted.get("validator", "")) if is_ours else ""

    def _attempt(self, client: httpx.Client) -> None:
        headers = {"Accept-Encoding": "identity"}
        validator = self._validator()
        if not validator:
            self._start_over()
        elif self._done:
            headers |= {"Range": f"bytes={self._done}-", "If-Range": validator}
        with self._translated(), client.stream("GET", self._url, headers=headers) as answer:
            total = self._judge(answer)
            if self._done and total == self._done:
                return
            self._receive(answer, total)

    def _judge(self, answer: httpx.Response) -> int | None:
        """Decide what this answer is; returns the size of the whole, None where the server does not say."""
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and self._done:
            if self._range_of(answer) == (None, self._done):
                return self._done
            self._start_over()
            raise _Interrupted("the image became shorter on the server")
        if answer.status_code in _WORTH_ANOTHER_TRY:
            raise _Interrupted(f"the server answered {answer.status_code} {answer.reason_phrase}")
        if answer.status_code not in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
            raise self._failed(f"the server answered {answer.status_code} {answer.reason_phrase}")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise self._failed("the server insists on compressing what it sends")
        total = self._total_of(answer)
        if total is not None and total > self._limits.max_bytes:
            raise self._failed(f"it has {total} bytes, and at most {self._limits.max_bytes} are allowed")
        return total

    def _total_of(self, answer: httpx.Response) -> int | None:
        if answer.status_code == httpx.codes.PARTIAL_CONTENT:
            start, total = self._range_of(answer)
            if start != self._done or _validator_of(answer) not in {"", self._validator()}:
                self._start_over()
                raise _Interrupted("the server sent another part than the one asked for")
            return total
        self._start_over()
        self._note.write_text(json.dumps({"url": self._url, "validator": _validator_of(answer)}))
        length = answer.headers.get("Content-Length", "")
        return int(length) if length.isdigit() else None

    @staticmethod
    def _range_of(answer: httpx.Response) -> tuple[int | None, int | None]:
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if found is None:
            return None, None
        start, total = found.groups()
        return (int(start) if start else None, int(total) if total != "*" else None)

    def _start_over(self) -> None:
        self.discard()
        self._digest = hashlib.sha256()
        self._done = 0

    def _receive(self, answer: httpx.Response, total: int | None) -> None:
        with self._partial.open("ab") as file:
            for block in answer.iter_raw():  # as it comes: with a block size, what waits for its block is lost in a cut
                self._keep(file, block)
                if self._progress is not None:
                    self._progress(self._done, total or 0)
        if total is not None and self._done != total:
            raise _Interrupted(f"the server closed the connection after {self._done} of {total} bytes")

    def _keep(self, file: IO[bytes], block: bytes) -> None:
        if self._done + len(block) > self._limits.max_bytes:
            raise self._failed(f"it has more than the {self._limits.max_bytes} bytes that are allowed")
        file.write(block)
        self._digest.update(block)
        self._done += len(block)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (httpx.TooManyRedirects, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise self._failed(str(error)) from error
        except httpx.HTTPError as error:
            raise _Interrupted(_in_words(error)) from error
        except OSError as error:
            raise self._failed(f"{self._partial.parent}: {error.strerror or error}") from error

    def _failed(self, why: str, *, hint: str = "") -> ImageError:
        context: dict[str, Any] = {"url": self._url, "bytes": self._done}
        return ImageError(f"the image {self._url} cannot be downloaded", why=why, hint=hint, context=context)


def _validator_of(answer: httpx.Response) -> str:
    """What If-Range may carry: a strong ETag, else the date of the last change; empty if there is neither."""
    tag: str = answer.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return str(answer.headers.get("Last-Modified", ""))


def _in_words(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, httpx.ReadTimeout):
        return "the server fell silent"
    return str(error) or type(error).__name__
