"""The seam to a host's inside: run one short Python program there, and get its one JSON document back.

libvirt can neither say who holds a device nor promise to come back from an unbind. What looks at or acts on a device below
libvirt therefore runs on the host in a process of its own, under a time limit at both ends:

    controller ──(ssh | child)──> python3 -I -      killed at the limit, with its process group
                                     └─ its own alarm, for when ssh is killed and sshd does not notice

Nothing is left on the host: program and arguments go through stdin, never through a file. A program never waits for anything
that cannot be killed: what may block in the kernel it does in a child that it can let go of (templates/host/device.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

Source = Literal["ssh", "local"]

OUTPUT_LIMIT_BYTES = 4 * 1024 * 1024
"""A program that prints more has failed."""


class HostShell(Protocol):
    """Python on one host. Holds nothing open between two calls; safe to use from several threads."""

    @property
    def source(self) -> Source:
        """How the host is asked."""
        ...

    def run_python(self, program: str, *, arguments: Mapping[str, Any], timeout_s: float, what: str = "") -> Any:
        """Run the program on the host; what it prints, parsed.

        Args:
            program: Python 3.9 or later, standard library only. It finds its arguments in the global `ARGUMENTS` and prints one
                JSON document.
            arguments: anything that JSON can carry.
            timeout_s: for all of it, connecting included; then the program is killed.
            what: the sentence of what could not be done, if it fails.

        Raises:
            HostUnreachable: nobody answers, or the connection broke while it ran.
            HostTimeout: it was killed at its limit; what it did until then stays done.
            NotAllowed: SSH does not let us in.
            Unsupported: no program can be run there: no python3, or no shell for this user.
            HypervisorError: the program failed; `why` has the end of what it said.
        """
        ...
