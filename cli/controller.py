"""`hikube controller`: the control loop in the foreground, until SIGTERM or Ctrl-C. One per store.

a file      one process; a second one is refused
a cluster   any number of processes: one leads, behind a fence, the others wait for its lease
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.logs import log_to_stderr
from cli.output import say
from cli.session import Session
from cli.store.rotate_key import KeyFile
from cli.store_choice import CONTEXT, KUBECONFIG, STORE, is_kubernetes, put_in_place
from provisioner.model.errors import ControllerBusy, InvalidInput

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
    store: Annotated[str, typer.Option("--store", metavar="STORE", help="file or kubernetes; as before the command")] = "",
    kubeconfig: Annotated[str, typer.Option("--kubeconfig", metavar="FILE", help="Which cluster; as before the command")] = "",
    context: Annotated[str, typer.Option("--context", metavar="NAME", help="Which context; as before the command")] = "",
) -> None:
    """Run the control loop in the foreground: everything that is stored is brought to what it shall be, and kept there.

    Ends with exit 0 on SIGTERM or Ctrl-C, after what is in flight; 5 if another process runs the loop of this store. On a
    cluster several may run: one leads, the others wait. One that another has followed (it was cut off for long) ends with 5.
    """
    if not workers.isdecimal() or not 1 <= int(workers) <= WORKERS_MAX:
        raise InvalidInput(f"--workers {workers!r} is no number from 1 to {WORKERS_MAX}")
    given = {STORE: store, KUBECONFIG: kubeconfig, CONTEXT: context}
    undo = put_in_place({name: value for name, value in given.items() if value})
    try:
        with log_to_stderr():
            _run(Session(key_file=key_file), workers=int(workers))
    finally:
        undo()
    say("the control loop has ended; nothing was undone")


def _run(session: Session, *, workers: int) -> None:
    stop = threading.Event()

    def end(*_: Any) -> None:
        stop.set()

    if is_kubernetes():
        _lead(session, stop, workers=workers, end=end)
        return
    with session.controller_lock():
        _end_on_signals(end)
        _loop(session, stop, workers=workers)


def _lead(session: Session, stop: threading.Event, *, workers: int, end: Callable[[], None]) -> None:
    """Run the loop of a cluster as soon as nobody else does.

    Raises:
        ControllerBusy: another process has followed this one; whatever it remembers is worth nothing now.
    """
    lost = threading.Event()

    def lose() -> None:
        lost.set()
        end()

    _end_on_signals(end)
    lease = session.leader_lease(lost=lose)
    say("waiting for the lease of the control loop")
    if not lease.wait_to_acquire(stop):
        return
    try:
        _loop(session, stop, workers=workers, fence=lease.check)
    finally:
        lease.release()
    if lost.is_set():
        raise ControllerBusy("another process has taken over the control loop", hint="start this one anew: it waits then")


def _loop(session: Session, stop: threading.Event, *, workers: int, fence: Callable[[], None] | None = None) -> None:
    from provisioner.lifecycle.assembly import build_controller

    loop = build_controller(
        session.store, cache_dir=session.cache_dir, tables=session.tables, observer=Log(), workers=workers, fence=fence
    )
    say("the control loop runs; Ctrl-C ends it")
    try:
        loop.run_forever(stop)
    finally:
        loop.close()


def _end_on_signals(end: Callable[..., None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
