"""Where log lines go: to a file beside the store while a command drives the control loop, to stderr for `hikube controller`."""

from __future__ import annotations

import logging
import logging.handlers
import os

from cli.places import data_dir

FILE_BYTES_MAX = 4 << 20
FILES_KEPT = 3
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_to_file() -> None:
    """Send log lines to `logs/hikube.log` of the data directory; progress lines are what the terminal is for."""
    directory = data_dir() / "logs"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / "hikube.log"
    os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT, encoding="utf-8")
    _use(handler)


def log_to_stderr() -> None:
    """Send log lines to stderr."""
    _use(logging.StreamHandler())


def _use(handler: logging.Handler) -> None:
    handler.setFormatter(logging.Formatter(FORMAT))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("hikube").setLevel(logging.INFO)
