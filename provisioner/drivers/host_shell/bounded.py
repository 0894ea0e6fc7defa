"""One child process with a limit on everything: its time, what it prints, and how long its death is waited for.

The child has a session of its own, so that whatever it started dies with it. A child that cannot be killed (stuck in the
kernel) is left alone after a moment: nobody here ever waits for it.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

SAID_LIMIT_BYTES = 4096
"""Kept of the end of standard error."""
_CHUNK_BYTES = 65_536
_DEATH_S = 1.0


@dataclass(slots=True)
class Ended:
    """How a child ended, and what it printed."""

    status: int | None = None
    """None: it was killed at its limit, of time or of output."""
    output: bytearray = field(default_factory=bytearray)
    said: bytes = b""
    """The end of its standard error."""
    is_too_long: bool = False


def run_bounded(argv: Sequence[str], sent: bytes, *, timeout_s: float, output_limit_bytes: int) -> Ended:
    """Run the program with `sent` as its standard input.

    Raises:
        OSError: it cannot be started.
    """
    deadline_s = time.monotonic() + timeout_s
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    ended = Ended()
    try:
        if _exchange(process, sent, ended, deadline_s=deadline_s, output_limit_bytes=output_limit_bytes):
            with suppress(subprocess.TimeoutExpired):
                ended.status = process.wait(max(0.0, deadline_s - time.monotonic()))
    finally:
        _let_go(process)
    return ended


def _exchange(
    process: subprocess.Popen[bytes], sent: bytes, ended: Ended, *, deadline_s: float, output_limit_bytes: int
) -> bool:
    """Write and read until the child has closed both of its ends; False if a limit was met first."""
    stdin, stdout, stderr = (pipe for pipe in (process.stdin, process.stdout, process.stderr) if pipe is not None)
    left, open_ends = memoryview(sent), {stdout, stderr}
    with selectors.DefaultSelector() as selector:
        for pipe in (stdin, stdout, stderr):
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_WRITE if pipe is stdin else selectors.EVENT_READ)
        while open_ends and len(ended.output) <= output_limit_bytes:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            for key, _ in selector.select(left_s):
                if key.fileobj is stdin:
                    left = _write(stdin, left)
                    if not left:
                        selector.unregister(stdin)
                        stdin.close()
                    continue
                chunk = os.read(key.fd, _CHUNK_BYTES)
                if not chunk:
                    selector.unregister(key.fileobj)
                    open_ends -= {key.fileobj}
                elif key.fileobj is stdout:
                    ended.output += chunk
                else:
                    ended.said = (ended.said + chunk)[-SAID_LIMIT_BYTES:]
    ended.is_too_long = bool(open_ends)
    return not open_ends


def _write(pipe: IO[bytes], left: memoryview) -> memoryview:
    """What is left to be written; nothing if nobody reads it any more: what the child says tells why."""
    try:
        return left[os.write(pipe.fileno(), left[:_CHUNK_BYTES]) :]
    except BrokenPipeError:
        return memoryview(b"")


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """Kill what still runs, and close our ends."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_DEATH_S)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
