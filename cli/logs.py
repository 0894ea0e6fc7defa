"""Where log lines go: to a file beside the store while a command drives the control loop, to stderr for `hikube controller`."""

from __future__ import annotations

import logging
import logging.handlers
import os
from collections.abc import Iterator
from contextlib import contextmanager

from cli.places import data_dir
from provisioner.model.redaction import without_private_keys

FILE_BYTES_MAX = 4 << 20
FILES_KEPT = 3
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Redacting(logging.Formatter):
    """Takes private keys out of whatever is logged, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """One entry of the log."""
        return without_private_keys(super().format(record))


@contextmanager
def log_to_file() -> Iterator[None]:
    """Send log lines to `logs/hikube.log` of the data directory; progress lines are what the terminal is for."""
    directory = data_dir() / "logs"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / "hikube.log"
    os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT, encoding="utf-8")
    with _using(handler):
        yield


@contextmanager
def log_to_stderr() -> Iterator[None]:
    """Send log lines to stderr."""
    with _using(logging.StreamHandler()):
        yield


@contextmanager
def _using(handler: logging.Handler) -> Iterator[None]:
    handler.setFormatter(Redacting(FORMAT))
    root, ours = logging.getLogger(), logging.getLogger("hikube")
    before = (root.handlers, ours.level)
    root.handlers = [handler]
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers = before[0]
        ours.setLevel(before[1])
        handler.close()
