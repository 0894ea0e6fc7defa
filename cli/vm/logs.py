"""`hikube gpu vm logs`: what the guest printed on its serial port, read through the hypervisor's API."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.machines import Name, machine
from cli.options import Namespace
from cli.output import put, say
from cli.render.events import events_table
from cli.session import Session
from provisioner.model.errors import InvalidInput, StillPending

if TYPE_CHECKING:
    from provisioner.drivers.hypervisor import Hypervisor
    from provisioner.model.virtual_machine import VirtualMachine

DEFAULT_LINES = 100
LINES_MAX = 100_000
BYTES_PER_LINE = 200
"""Generous for console lines; a tail is read in bytes."""
POLL_S = 1.0

Lines = Annotated[str, typer.Option("--lines", metavar="N", help="How many lines at first")]


def logs(
    name: Name,
    namespace: Namespace = "default",
    lines: Lines = str(DEFAULT_LINES),
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing")] = False,
    events: Annotated[bool, typer.Option("--events/--no-events", help="The VM's events first, on stderr")] = True,
) -> None:
    """Print what the VM's console said last since its last start; its events go to stderr."""
    session = Session()
    vm = machine(session, name, namespace)
    if events:
        found = session.store.events(vm.key)
        if found:
            say(events_table(found, now_s=session.now_s).rstrip("\n"))
    print_console(session, vm, lines=number_of_lines(lines), follow=follow)


def number_of_lines(text: str) -> int:
    """What `--lines` says."""
    if not text.isdecimal() or not 1 <= int(text) <= LINES_MAX:
        raise InvalidInput(f"--lines {text!r} is no number from 1 to {LINES_MAX}")
    return int(text)


def host_of(session: Session, vm: VirtualMachine) -> Hypervisor:
    """A connection to the host where the VM's domain is.

    Raises:
        StillPending: it has none yet.
    """
    from provisioner.lifecycle.assembly import SchemeConnector

    if not vm.status.host or not vm.status.domain:
        raise StillPending(f"VM {vm.metadata.name} has no console yet", why=f"it is {vm.status.phase.value}")
    uri = session.raw_one("GPUHost", vm.status.host)["spec"]["uri"]
    return SchemeConnector().connect(uri)


def print_console(session: Session, vm: VirtualMachine, *, lines: int, follow: bool) -> None:
    """Print the last lines, and go on if wanted."""
    tail = host_of(session, vm).console.tail
    shown = ""
    while True:
        text = tail(vm.status.domain, limit_bytes=lines * BYTES_PER_LINE)
        fresh = news(shown, text) if shown else last_lines(text, lines)
        put(fresh if not sys.stdout.isatty() else harmless(fresh))
        sys.stdout.flush()
        shown = text
        if not follow:
            return
        session.clock.sleep(POLL_S)


def last_lines(text: str, count: int) -> str:
    """The last lines of a text."""
    return "".join(text.splitlines(keepends=True)[-count:])


def news(before: str, now: str) -> str:
    """What a tail shows now that it did not show before; all of it if the two have nothing in common (the VM was restarted)."""
    if now.startswith(before):
        return now[len(before) :]
    mark = before[-256:]
    position = now.rfind(mark)
    return now[position + len(mark) :] if mark and position >= 0 else now


def harmless(text: str) -> str:
    """The text without control sequences, which a guest could use to take over the terminal of whoever looks."""
    return "".join(letter for letter in text if letter in "\n\t" or letter.isprintable())
