"""From a hypervisor's URI to a shell on its host, or to the reason why there is none.

    qemu:///system                                  a child here
    qemu+ssh://… (libssh and libssh2 too)           the system's own ssh
    qemu+tls://, qemu+tcp://, test://, …            none: libvirt's port leads to libvirt and nowhere else

A local URI with a `socket` of its own is given none either: the socket may lead to another machine, and acting on the devices
of the wrong one would be worse than not acting.
"""

from __future__ import annotations

import shlex
import sys
from urllib.parse import parse_qs, urlsplit

from provisioner.drivers.host_shell.protocol import HostShell
from provisioner.drivers.host_shell.python import PYTHON, PythonShell
from provisioner.drivers.ssh_options import ssh_argv

_LOCAL = frozenset({"", "unix"})


def shell_for(uri: str) -> HostShell | None:
    """A shell on the host behind that URI; None where none leads there, and `why_no_shell` says why. Connects to nothing."""
    if why_no_shell(uri):
        return None
    remote = ssh_argv(uri, "-T")
    if remote is not None:
        return PythonShell("ssh", [*remote, shlex.join(PYTHON)], host=uri)
    return PythonShell("local", [sys.executable or PYTHON[0], *PYTHON[1:]], host=uri)


def why_no_shell(uri: str) -> str:
    """Why no shell leads to the host behind that URI; empty if one does."""
    parts = urlsplit(uri)
    scheme, _, transport = parts.scheme.partition("+")
    if scheme != "qemu":
        return f"{scheme or uri} is no host that can be looked into"
    if ssh_argv(uri) is not None:
        return ""
    if parts.hostname or transport not in _LOCAL:
        return f"it is reached by {transport or 'tls'}, which leads to libvirt only; use qemu+ssh:// to have it examined"
    if "socket" in parse_qs(parts.query):
        return "its URI names a socket, which may lead to another machine"
    return ""
