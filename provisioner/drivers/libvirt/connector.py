"""The way in: from a URI to a hypervisor, with one shared connection per URI.

Hypervisors handed out are light; closing the last one of a URI leaves its connection open for a while, because opening one over
SSH costs a fraction of a second and reconcilers come and go. A host on which many calls hang is not asked again until some of
them return: every call that hangs costs a thread here and a worker there.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import libvirt

from provisioner.drivers.libvirt import event_loop
from provisioner.drivers.libvirt.calls import Calls, TimeLimitError
from provisioner.drivers.libvirt.connection import Connection
from provisioner.drivers.libvirt.errors import translate
from provisioner.drivers.libvirt.hypervisor import LibvirtHypervisor
from provisioner.model.errors import HostTimeout, HostUnreachable, InvalidInput

OPEN_TIMEOUT_S = 30.0
_IDLE_S = 60.0
_MOST_HANGING_CALLS = 24
_SCHEMES = frozenset({"qemu", "test"})
_TRANSPORTS = frozenset({"", "unix", "ssh", "tcp", "tls", "libssh", "libssh2", "ext"})
_HANG_HINT = "restart libvirtd there, or reboot the host if a device driver is stuck"


@dataclass(slots=True)
class _Site:
    """What is open to one URI."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while opening, so that many callers share one attempt."""
    opener: Calls = field(default_factory=lambda: Calls(name="libvirt-open", limit=_MOST_HANGING_CALLS))
    connection: Connection | None = None
    retired: list[Connection] = field(default_factory=list)
    users: int = 0
    idle_since_s: float = 0.0

    def hanging_calls(self) -> int:
        """Calls to this URI, opening included, that never came back."""
        self.retired = [connection for connection in self.retired if connection.hanging_calls]
        return self.opener.hanging + sum(connection.hanging_calls for connection in self.retired)


class LibvirtConnector:
    """Opens hypervisors through libvirt. Safe to use from several threads; one per process is enough."""

    def __init__(self, *, open_timeout_s: float = OPEN_TIMEOUT_S) -> None:
        self._open_timeout_s = open_timeout_s
        self._lock = threading.Lock()
        self._sites: dict[str, _Site] = {}

    def connect(self, uri: str) -> LibvirtHypervisor:
        """An open connection to that host, shared with earlier callers while it is alive.

        Raises:
            InvalidInput: the URI cannot be understood.
            HostUnreachable: nobody answers; HostTimeout: not in time.
            NotAllowed: the host refuses our credentials.
        """
        address = _checked(uri)
        with self._lock:
            self._close_idle()
            site = self._sites.setdefault(uri, _Site())
        with site.lock:
            connection = site.connection
            if connection is None or not connection.is_alive:
                connection = self._reopen(site, uri, address)
            site.users += 1
        return LibvirtHypervisor(
            connection,
            another=lambda: Connection(uri, self._open(site.opener, uri, address)),
            on_close=lambda: self._release(site),
        )

    def close(self) -> None:
        """Give up every connection. Hypervisors that were handed out are of no more use."""
        with self._lock:
            sites, self._sites = list(self._sites.values()), {}
        for site in sites:
            if site.connection is not None:
                site.connection.close()

    def _reopen(self, site: _Site, uri: str, address: str) -> Connection:
        if site.connection is not None:
            site.connection.close()
            site.retired.append(site.connection)
            site.connection = None
        hanging = site.hanging_calls()
        if hanging >= _MOST_HANGING_CALLS:
            why = f"{hanging} earlier calls to it never returned"
            raise HostUnreachable(f"cannot connect to {uri}", why=why, hint=_HANG_HINT, context={"uri": uri})
        site.connection = Connection(uri, self._open(site.opener, uri, address))
        return site.connection

    def _open(self, opener: Calls, uri: str, address: str) -> libvirt.virConnect:
        event_loop.ensure_running()
        what = f"cannot connect to {uri}"
        try:
            return opener.run(lambda: libvirt.open(address), timeout_s=self._open_timeout_s, discard=_close)
        except TimeLimitError as error:
            why = f"no answer within {self._open_timeout_s:g} s"
            raise HostTimeout(what, why=why, context={"uri": uri}) from error
        except libvirt.libvirtError as error:
            ours = translate(error, what=what)
            ours.context["uri"] = uri
            raise ours from error

    def _release(self, site: _Site) -> None:
        with site.lock:
            site.users -= 1
            site.idle_since_s = time.monotonic()

    def _close_idle(self) -> None:
        for site in self._sites.values():
            is_idle = site.users == 0 and time.monotonic() - site.idle_since_s > _IDLE_S
            if is_idle and site.connection is not None and site.lock.acquire(blocking=False):
                connection, site.connection = site.connection, None
                site.lock.release()
                connection.close()


def _close(raw: libvirt.virConnect) -> None:
    raw.close()


def _checked(uri: str) -> str:
    """The URI as libvirt shall have it; over SSH it must never ask for a password on our terminal.

    Raises:
        InvalidInput: it is none that this driver can serve.
    """
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError as error:
        raise InvalidInput(f"cannot understand the URI {uri!r}", why=str(error)) from error
    scheme, _, transport = parts.scheme.partition("+")
    if scheme not in _SCHEMES or transport not in _TRANSPORTS or not parts.path.strip("/"):
        hint = "write for example qemu:///system or qemu+ssh://root@HOST/system?keyfile=/path/to/key"
        raise InvalidInput(f"cannot understand the URI {uri!r}", why="it is no libvirt URI of a QEMU host", hint=hint)
    if transport == "ssh" and "no_tty" not in parse_qs(parts.query):
        return uri + ("&" if parts.query else "?") + "no_tty=1"
    return uri
