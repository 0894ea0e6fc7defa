"""Where log lines go: to a file beside the store while a command drives the control loop, to stderr for `hikube controller`.

As text for people, or as one JSON object a line for programs: time, level, logger, message; key and step, where the line is
about an object or a step of its table; error, with the traceback of what broke.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cli.places import data_dir
from provisioner.model.clock import timestamp
from provisioner.model.redaction import without_private_keys

FILE_BYTES_MAX = 4 << 20
FILES_KEPT = 3
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Redacting(logging.Formatter):
    """Takes private keys out of whatever is logged, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """One entry of the log."""
        return without_private_keys(super().format(record))


class AsJson(logging.Formatter):
    """One line, whatever is in it. Private keys are taken out of each value, so that the rest stays JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """One entry of the log."""
        facts = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "key": _key_of(record),
            "step": getattr(record, "step", ""),
            "message": record.getMessage(),
            "error": self.formatException(record.exc_info) if record.exc_info else "",
        }
        return json.dumps({name: without_private_keys(text) for name, text in facts.items() if text}, ensure_ascii=False)


def _key_of(record: logging.LogRecord) -> str:
    """The object that the line is about: the first key among what it was made from."""
    from provisioner.model.metadata import Key

    arguments = record.args if isinstance(record.args, tuple) else ()
    return next((str(each) for each in arguments if isinstance(each, Key)), "")


FORMATS: dict[str, Callable[[], logging.Formatter]] = {"text": lambda: Redacting(FORMAT), "json": AsJson}


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
def log_to_stderr(*, form: str = "text") -> Iterator[None]:
    """Send log lines to stderr, in one of FORMATS."""
    with _using(logging.StreamHandler(), form=form):
        yield


@contextmanager
def _using(handler: logging.Handler, *, form: str = "text") -> Iterator[None]:
    handler.setFormatter(FORMATS[form]())
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
