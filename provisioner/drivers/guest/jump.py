"""The way to a guest: straight over TCP, or through the SSH of the host that it runs on.

A guest behind its host's NAT is reached by the system's own `ssh -W` (see ssh_options). The process is ours, and is killed when
the connection is closed.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from provisioner.drivers.ssh_options import ssh_argv

SAID_LIMIT = 4096
"""Bytes kept of what ssh says on its standard error."""


def jump_argv(host_uri: str, address: str, port: int = 22) -> list[str] | None:
    """The program that carries a connection to `address:port` over its stdin and stdout; None where TCP goes there directly.

    Fit for `ssh -o ProxyCommand=…` too, once joined with shlex.
    """
    target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return ssh_argv(host_uri, "-W", target)


@dataclass(frozen=True)
class Way:
    """An open way to a guest's SSH port."""

    socket: socket.socket
    jump: subprocess.Popen[bytes] | None
    said: IO[bytes] | None

    def broken_jump(self, *, within_s: float) -> str | None:
        """What ssh said if it ended within that time; None if it still runs or nothing was jumped through."""
        if self.jump is None or self.said is None:
            return None
        try:
            status = self.jump.wait(timeout=max(within_s, 0.0))
        except subprocess.TimeoutExpired:
            return None
        self.said.seek(0)
        said = self.said.read(SAID_LIMIT).decode(errors="replace").strip()
        return said or f"ssh ended with status {status}"


@contextmanager
def way_to(host_uri: str, address: str, *, port: int, timeout_s: float) -> Iterator[Way]:
    """Open the way, and close it with everything that it started.

    Raises:
        OSError: nothing listens there, no route, out of time, or the jump's program cannot be started.
    """
    argv = jump_argv(host_uri, address, port)
    if argv is None:
        with socket.create_connection((address, port), timeout=timeout_s) as direct:
            yield Way(direct, None, None)
        return
    ours, its = socket.socketpair()
    with ours, its, tempfile.TemporaryFile() as said:
        jump = subprocess.Popen(argv, stdin=its.fileno(), stdout=its.fileno(), stderr=said)
        its.close()
        try:
            yield Way(ours, jump, said)
        finally:
            jump.kill()
            jump.wait()
