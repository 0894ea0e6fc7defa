"""`hikube gpu vm console`: the serial console of a VM, to look at and to type on.

Two threads copy: this one from stdin to the guest, the other from the guest to stdout. Either may be the one that ends it: the
person who leaves, the end of stdin, the VM that stops, a host that goes away, a reader of stdout that has enough.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from cli.machines import Name, machine
from cli.options import Namespace
from cli.output import put, say
from cli.session import Session
from cli.vm.logs import BYTES_PER_LINE, Lines, harmless, host_of, last_lines, number_of_lines, print_console
from cli.vm.raw_terminal import raw_terminal
from provisioner.model.errors import Conflict, HikubeError, NotFound

if TYPE_CHECKING:
    from provisioner.drivers.hypervisor import Console, ConsoleSession

LEAVE = b"\x1d"
"""Ctrl-], as telnet and virsh have it."""
BLOCK_BYTES = 4096
POLL_S = 0.2
"""How soon the end of the one direction is noticed by the other."""
QUIET_S = 1.0
"""How long nothing must come after the end of stdin, so that the answer to the last line is still seen."""
LINGER_S = 10.0
PATIENCE_S = 2.0
"""For the last output, when it is over; a host that hangs is not waited for."""


def console(
    name: Name,
    namespace: Namespace = "default",
    lines: Lines = "20",
    read_only: Annotated[
        bool, typer.Option("--read-only", "--follow", "-f", help="Only look, until Ctrl-C; nobody is disturbed")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Take the console over from whoever is attached")] = False,
) -> None:
    """Attach to the serial console of a VM. At a terminal, Ctrl-] leaves; everything else goes to the guest, Ctrl-C too.

    Where stdin is no terminal it is copied to the guest, and the command ends with it, or when the VM stops. One at a time can
    be attached; with --read-only any number can look on.
    """
    session = Session()
    vm = machine(session, name, namespace)
    count = number_of_lines(lines)
    if read_only:
        print_console(session, vm, lines=count, follow=True)
        return
    host = host_of(session, vm)
    with _attached(host.console, vm.status.domain, vm_name=name, force=force) as attached:
        is_typing = sys.stdin.isatty()
        say(f"attached to {name}; {'Ctrl-] leaves' if is_typing else 'copying stdin to it'}")
        before = last_lines(host.console.tail(vm.status.domain, limit_bytes=count * BYTES_PER_LINE), count)
        put(harmless(before) if sys.stdout.isatty() else before)
        sys.stdout.flush()
        with raw_terminal(sys.stdin if is_typing else None):
            ending = Exchange(attached).run(leave=LEAVE if is_typing else b"")
    say(f"\n{ending}" if is_typing else ending)


def _attached(console: Console, domain: str, *, vm_name: str, force: bool) -> ConsoleSession:
    try:
        return console.attach(domain, force=force)
    except Conflict as error:
        hint = "--force takes it over; --read-only only looks"
        raise Conflict(f"somebody is attached to the console of {vm_name}", why=error.why, hint=hint) from error
    except NotFound as error:
        raise NotFound(
            f"VM {vm_name} has no console to attach to", why=error.why, hint=f"hikube gpu vm logs {vm_name}"
        ) from error


def _read(descriptor: int) -> bytes:
    """What was typed; empty at the end, and when the terminal is gone."""
    try:
        return os.read(descriptor, BLOCK_BYTES)
    except OSError:
        return b""


class Exchange:
    """Copies both ways between this process's stdin and stdout and a console."""

    def __init__(self, session: ConsoleSession) -> None:
        self._session = session
        self._is_over = threading.Event()
        self._has_spoken = threading.Event()
        self._error: Exception | None = None

    def run(self, *, leave: bytes) -> str:
        """Copy until it is over; returns how it ended, for people.

        Args:
            leave: the key that ends it; empty if there is none and every byte is for the guest.
        """
        listener = threading.Thread(target=self._listen, name="console-output", daemon=True)
        listener.start()
        try:
            self._speak(leave)
        except HikubeError as error:
            self._error = self._error or error
        finally:
            self._is_over.set()
            listener.join(PATIENCE_S)
        if isinstance(self._error, NotFound):
            return "the VM has stopped"
        if self._error is not None:
            raise self._error
        return "detached"

    def _speak(self, leave: bytes) -> None:
        """From stdin to the guest, until the leave key, the end of stdin, or the end of the console."""
        source = sys.stdin.fileno()
        while not self._is_over.is_set():
            readable, _, _ = select.select([source], [], [], POLL_S)
            if not readable:
                continue
            typed = _read(source)
            if not typed:
                self._let_it_finish()
                return
            text, key, _ = typed.partition(leave) if leave else (typed, b"", b"")
            if text:
                self._session.write(text)
            if key:
                return

    def _let_it_finish(self) -> None:
        """Wait until the guest has nothing more to say."""
        for _ in range(int(LINGER_S / QUIET_S)):
            self._has_spoken.clear()
            self._is_over.wait(QUIET_S)
            if self._is_over.is_set() or not self._has_spoken.is_set():
                return

    def _listen(self) -> None:
        """From the guest to stdout. What a guest prints goes to the terminal as it is: it is the guest's screen now."""
        try:
            while not self._is_over.is_set():
                heard = self._session.read(timeout_s=POLL_S)
                if heard:
                    self._has_spoken.set()
                    sys.stdout.buffer.write(heard)
                    sys.stdout.buffer.flush()
        except (HikubeError, OSError) as error:
            self._error = error
        finally:
            self._is_over.set()
