"""`hikube controller`: the control loop in the foreground, until SIGTERM or Ctrl-C. One per store."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.logs import log_to_stderr
from cli.output import say
from cli.session import Session
from cli.store.rotate_key import KeyFile
from provisioner.model.errors import InvalidInput

if TYPE_CHECKING:
    from provisioner.model.metadata import Key

WORKERS_MAX = 64


class Log:
    """An observer that writes one log line per step."""

    def __init__(self) -> None:
        import logging

        self._log = logging.getLogger("hikube.steps")

    def step_started(self, key: Key, step: str) -> None:
        """Only of interest when looking closely."""
        self._log.debug("%s: %s begins", key, step)

    def step_waiting(self, key: Key, step: str, message: str) -> None:
        """Repeated many times; only of interest when looking closely."""
        self._log.debug("%s: %s waits: %s", key, step, message)

    def step_finished(self, key: Key, step: str, duration_s: float, message: str) -> None:
        """A step holds."""
        self._log.info("%s: %s ok after %.1f s %s", key, step, duration_s, message)

    def step_undone(self, key: Key, step: str) -> None:
        """What a step had made is gone."""
        self._log.info("%s: %s undone", key, step)

    def failed(self, key: Key, step: str, message: str) -> None:
        """An attempt was given up."""
        self._log.warning("%s: %s failed: %s", key, step, message)


def controller(
    workers: Annotated[str, typer.Option("--workers", metavar="N", help="How many objects are worked on at once")] = "8",
    key_file: KeyFile = "",
) -> None:
    """Run the control loop in the foreground: everything that is stored is brought to what it shall be, and kept there.

    Ends with exit 0 on SIGTERM or Ctrl-C, after what is in flight; 5 if another process runs the loop of this store.
    """
    if not workers.isdecimal() or not 1 <= int(workers) <= WORKERS_MAX:
        raise InvalidInput(f"--workers {workers!r} is no number from 1 to {WORKERS_MAX}")
    session = Session(key_file=key_file)
    stop = threading.Event()
    with session.controller_lock(), log_to_stderr():
        from provisioner.lifecycle.assembly import build_controller

        def end(*_: Any) -> None:
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        loop = build_controller(
            session.store, cache_dir=session.cache_dir, tables=session.tables, observer=Log(), workers=int(workers)
        )
        say("the control loop runs; Ctrl-C ends it")
        try:
            loop.run_forever(stop)
        finally:
            loop.close()
    say("the control loop has ended; nothing was undone")
