"""`hikube controller`: the control loop in the foreground, until SIGTERM or Ctrl-C. One per store.

    a file      one process; a second one is refused
    a cluster   any number of processes: one leads, behind a fence, the others wait for its lease

With `--listen` it shows how it does, from before it leads until it has ended.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from cli.logs import FORMATS, log_to_stderr
from cli.output import say
from cli.session import Session
from cli.step_log import StepLog
from cli.store.rotate_key import KeyFile
from cli.store_choice import CLASS, CONTEXT, KUBECONFIG, STORE, class_name, is_kubernetes, put_in_place
from provisioner.model.errors import ControllerBusy, InvalidInput

if TYPE_CHECKING:
    from provisioner.lifecycle.controller import Controller
    from server.address import Address
    from server.service import ControllerService

WORKERS_MAX = 64
LISTEN = "HIKUBE_LISTEN"

log = logging.getLogger("hikube.controller")


def controller(
    workers: Annotated[str, typer.Option("--workers", metavar="N", help="How many objects are worked on at once")] = "8",
    listen: Annotated[
        str,
        typer.Option(
            "--listen",
            metavar="ADDRESS:PORT",
            envvar=LISTEN,
            help="Serve /metrics, /healthz and /readyz there; nowhere if empty",
        ),
    ] = "",
    log_format: Annotated[str, typer.Option("--log-format", metavar="FORM", help="text, or json: one object a line")] = "text",
    key_file: KeyFile = "",
    store: Annotated[str, typer.Option("--store", metavar="STORE", help="file or kubernetes; as before the command")] = "",
    kubeconfig: Annotated[str, typer.Option("--kubeconfig", metavar="FILE", help="Which cluster; as before the command")] = "",
    context: Annotated[str, typer.Option("--context", metavar="NAME", help="Which context; as before the command")] = "",
    served: Annotated[
        str, typer.Option("--class", metavar="NAME", envvar=CLASS, help="Act on objects of that class only; on a cluster")
    ] = "",
) -> None:
    """Run the control loop in the foreground: everything that is stored is brought to what it shall be, and kept there.

    Ends with exit 0 on SIGTERM or Ctrl-C, after what is in flight; 5 if another process runs the loop of this store, or
    listens where --listen says. On a cluster several may run: one leads, the others wait. One that another has followed (it was
    cut off for long) ends with 5.
    """
    if not workers.isdecimal() or not 1 <= int(workers) <= WORKERS_MAX:
        raise InvalidInput(f"--workers {workers!r} is no number from 1 to {WORKERS_MAX}")
    if log_format not in FORMATS:
        raise InvalidInput(f"--log-format {log_format!r} is none that there is", hint=" or ".join(FORMATS))
    settings = _Settings(int(workers), _address(listen), say if log_format == "text" else log.info)
    given = {STORE: store, KUBECONFIG: kubeconfig, CONTEXT: context, CLASS: served}
    undo = put_in_place({name: value for name, value in given.items() if value})
    try:
        with log_to_stderr(form=log_format):
            _run(Session(key_file=key_file), settings)
            settings.tell("the control loop has ended; nothing was undone")
    finally:
        undo()


@dataclass(frozen=True, slots=True)
class _Settings:
    """What was asked for, and what ends it."""

    workers: int
    listen: Address | None
    tell: Callable[[str], None]
    """Talk: a line on stderr, or an entry of the log."""
    stop: threading.Event = field(default_factory=threading.Event)

    def end(self, *_: object) -> None:
        """What is in flight ends, then the loop does."""
        self.stop.set()


def _address(text: str) -> Address | None:
    if not text:
        return None
    from server.address import parse_address

    return parse_address(text, source="--listen")


def _run(session: Session, settings: _Settings) -> None:
    if class_name() and not is_kubernetes():
        raise InvalidInput(f"--class (or {CLASS}) is given, and the store is a file", hint="a file has one controller")
    if is_kubernetes():
        with _service(session, settings) as service:
            _lead(session, settings, service)
        return
    with session.controller_lock(), _service(session, settings) as service:
        _end_on_signals(settings)
        _loop(session, settings, service)


def _service(session: Session, settings: _Settings) -> AbstractContextManager[ControllerService | None]:
    """What is shown while it runs; nothing, if nobody asked for it."""
    if settings.listen is None:
        return nullcontext()
    from cli.version import DISTRIBUTION, version_of
    from server.service import ControllerService

    store = "kubernetes" if is_kubernetes() else "file"
    version = version_of(DISTRIBUTION)
    return ControllerService(settings.listen, clock=session.clock, version=version, store=store, stop=settings.stop)


def _lead(session: Session, settings: _Settings, service: ControllerService | None) -> None:
    """Run the loop of a cluster as soon as nobody else does.

    Raises:
        ControllerBusy: another process has followed this one; whatever it remembers is worth nothing now.
    """
    lost = threading.Event()

    def lose() -> None:
        lost.set()
        settings.end()

    _end_on_signals(settings)
    lease = session.leader_lease(lost=lose)
    settings.tell("waiting for the lease of the control loop")
    if service is not None:
        service.health.waits()
        _tell_where(settings, service)
    if not lease.wait_to_acquire(settings.stop):
        return
    from cli.cluster import answer

    try:
        answer(session.store, lease.check)
        _loop(session, settings, service, fence=lease.check)
    finally:
        lease.release()
    if lost.is_set():
        raise ControllerBusy("another process has taken over the control loop", hint="start this one anew: it waits then")


def _loop(
    session: Session, settings: _Settings, service: ControllerService | None, *, fence: Callable[[], None] | None = None
) -> None:
    loop = _built(session, settings, service, fence)
    settings.tell("the control loop runs; Ctrl-C ends it")
    if service is not None and fence is None:
        _tell_where(settings, service)
    try:
        with service.showing(loop) if service is not None else nullcontext():
            loop.run_forever(settings.stop)
    finally:
        loop.close()


def _built(
    session: Session, settings: _Settings, service: ControllerService | None, fence: Callable[[], None] | None
) -> Controller:
    from provisioner.lifecycle.assembly import build_controller
    from provisioner.lifecycle.progress import Several

    return build_controller(
        service.counted(session.store) if service is not None else session.store,
        cache_dir=session.cache_dir,
        tables=session.tables,
        observer=Several(StepLog(), service.steps) if service is not None else StepLog(),
        workers=settings.workers,
        fence=fence,
        measures=service.measures if service is not None else None,
        class_name=class_name() if is_kubernetes() else None,
    )


def _tell_where(settings: _Settings, service: ControllerService) -> None:
    settings.tell(f"metrics and health are at {service.url}")


def _end_on_signals(settings: _Settings) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, settings.end)
