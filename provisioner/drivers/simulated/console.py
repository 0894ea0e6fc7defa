"""The serial console of a simulated guest: what it would have printed by now, and whoever is attached to it.

A system that runs sends back what is typed; one that hangs in its firmware does not. Who is attached is part of the host's
state, so that it holds between processes; a holder that was not heard of for a while counts as gone.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from provisioner.drivers.simulated.console_log import log_volume
from provisioner.drivers.simulated.link import Link
from provisioner.drivers.simulated.state import Boot, DomainRecord, HostState
from provisioner.model.errors import Conflict, HikubeError, HostUnreachable, NotFound

_BEFORE = "SeaBIOS (version 1.16.3-debian-1.16.3-2)\n"
_SYSTEM = "Booting from Hard Disk...\n[    0.000000] Linux version 6.12.0\n"
_GONE_AFTER_S = 15.0
_HEARD_EVERY_S = 1.0
"""How precisely it is written down when a holder was heard of."""
_POLL_S = 0.1


class SimulatedConsole:
    """See drivers.hypervisor.Console."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def tail(self, name: str, *, limit_bytes: int) -> str:
        """See the protocol. Kept in the file that the domain's definition names, and gone with that file."""
        with self._link.call("console.tail", subject=name) as state:
            text = _text(state, name, now_s=self._link.host.world.clock.now_s())
        return text.encode()[-limit_bytes:].decode(errors="replace") if limit_bytes > 0 else ""

    def attach(self, name: str, *, force: bool = False) -> SimulatedConsoleSession:
        """See the protocol."""
        now_s = self._link.host.world.clock.now_s()
        what = f"The console of {name} cannot be attached to"
        with self._link.call("console.attach", subject=name) as state:
            record = state.domains.get(name)
            if record is None or record.live is None or not record.live.has_console:
                why = "it does not run" if record is None or record.live is None else "it has no serial port"
                raise NotFound(what, why=why)
            if record.console_holder and not force and now_s - record.console_seen_s < _GONE_AFTER_S:
                raise Conflict(what, why="Active console session exists for this domain")
            record.sessions += 1
            record.console_holder, record.console_seen_s = record.sessions, now_s
            return SimulatedConsoleSession(self._link, name, number=record.sessions, seen=_printed(record, now_s=now_s))


class SimulatedConsoleSession:
    """See drivers.hypervisor.ConsoleSession."""

    def __init__(self, link: Link, name: str, *, number: int, seen: tuple[str, str]) -> None:
        self._link = link
        self._name = name
        self._number = number
        self._boot, self._shown = seen
        self._is_closed = False

    def read(self, *, timeout_s: float) -> bytes:
        """See the protocol."""
        clock = self._link.host.world.clock
        deadline_s = clock.monotonic_s() + timeout_s
        while True:
            if news := self._news():
                return news.replace("\n", "\r\n").encode()
            left_s = deadline_s - clock.monotonic_s()
            if left_s <= 0:
                return b""
            clock.sleep(min(left_s, _POLL_S))

    def write(self, data: bytes) -> None:
        """See the protocol."""
        self._check_open()
        now_s = self._link.host.world.clock.now_s()
        with self._link.call("console.write", subject=self._name) as state:
            boot = self._held(state).boot
            if boot is not None and not boot.console:
                boot.echoed.append((now_s, data.decode(errors="replace").replace("\r", "\n")))

    def close(self) -> None:
        """See the protocol."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            with self._link.call("console.close", subject=self._name) as state:
                record = state.domains.get(self._name)
                if record is not None and record.console_holder == self._number:
                    record.console_holder = 0
        except HikubeError:
            return  # the host is away, and will notice by itself

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _news(self) -> str:
        self._check_open()
        now_s = self._link.host.world.clock.now_s()
        with self._link.call("console.read", subject=self._name) as state:
            boot, text = _printed(self._held(state), now_s=now_s)
        fresh = text[len(self._shown) :] if boot == self._boot else text
        self._boot, self._shown = boot, text
        return fresh

    def _held(self, state: HostState) -> DomainRecord:
        """The domain, if this session still has its console; the host has heard of us."""
        what = f"The console of {self._name} is lost"
        record = state.domains.get(self._name)
        if record is None or not record.is_running or record.sessions < self._number:
            raise NotFound(what, why="the domain has stopped")
        if record.console_holder != self._number:
            is_taken = record.console_holder > self._number
            raise Conflict(what, why="somebody else has taken it over") if is_taken else NotFound(what, why="it was restarted")
        now_s = self._link.host.world.clock.now_s()
        if now_s - record.console_seen_s >= _HEARD_EVERY_S:
            record.console_seen_s = now_s
        return record

    def _check_open(self) -> None:
        if self._is_closed:
            raise HostUnreachable(f"The console of {self._name} is lost", why="the session was closed")


def _text(state: HostState, name: str, *, now_s: float) -> str:
    record = state.domains.get(name)
    if record is None or log_volume(state, (record.live or record.config).console_log) is None:
        return ""
    return _printed(record, now_s=now_s)[1]


def _printed(record: DomainRecord, *, now_s: float) -> tuple[str, str]:
    """The boot that runs, or else the last one, and all that it printed by now. Grows at its end only."""
    boot = record.boot or record.last_boot
    if boot is None:
        return "", ""
    now_s = now_s if record.is_running else record.ended_s
    if boot.console:
        return boot.id, _BEFORE + boot.console
    lines = sorted([*_progress(boot, name=record.config.name), *boot.echoed], key=lambda line: line[0])
    return boot.id, _BEFORE + _SYSTEM + "".join(line for at_s, line in lines if at_s <= now_s)


def _progress(boot: Boot, *, name: str) -> list[tuple[float, str]]:
    lines = (
        (boot.address_s, "[    2.100000] cloud-init: Cloud-init running 'init'\n"),
        (boot.ssh_s, f"{name} login: \n"),
        (boot.cloud_init_s, "cloud-init: Cloud-init finished\n"),
    )
    return [(at_s, line) for at_s, line in lines if at_s is not None]
