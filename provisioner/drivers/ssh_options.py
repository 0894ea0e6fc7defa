"""How the system's own `ssh` is called for a host that libvirt reaches over SSH: with what libvirt itself takes from the URI.

Whatever lets libvirt in (an agent, ~/.ssh/config, a wrapper given as `command`) lets us in too. It never asks anything, never
becomes a control master, and a host name that looks like an option is none.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

CONNECT_LIMIT_S = 15
_TRANSPORTS = frozenset({"ssh", "libssh", "libssh2"})
_REFUSED = re.compile(r"permission denied|host key verification failed|too many authentication failures", re.IGNORECASE)


def ssh_argv(host_uri: str, *more: str) -> list[str] | None:
    """The program and its options up to the host's name; None for a URI that does not go over SSH.

    Of the URI's parameters it honours keyfile, command and no_verify, as libvirt's ssh transport does, and no_tty always.

    Args:
        host_uri: of the hypervisor.
        more: options of ssh's, put before the host.
    """
    uri = urlsplit(host_uri)
    if uri.scheme.partition("+")[2] not in _TRANSPORTS or not uri.hostname:
        return None
    parameters = {name: values[-1] for name, values in parse_qs(uri.query).items()}
    options = ["-o", "BatchMode=yes", "-o", "ControlMaster=no", "-o", f"ConnectTimeout={CONNECT_LIMIT_S}"]
    if uri.port:
        options += ["-p", str(uri.port)]
    if uri.username:
        options += ["-l", unquote(uri.username)]
    if "keyfile" in parameters:
        options += ["-i", parameters["keyfile"]]
    if parameters.get("no_verify", "0") not in {"", "0"}:
        options += ["-o", "StrictHostKeyChecking=no"]
    return [parameters.get("command", "ssh"), *options, *more, "--", uri.hostname]


def is_refusal(said: str) -> bool:
    """Whether ssh's words mean that we may not come in, and not that nobody is there."""
    return _REFUSED.search(said) is not None
