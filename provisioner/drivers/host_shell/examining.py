"""A look at a host from inside, through a shell; what the host could not be asked for is said in words, never guessed."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from provisioner.drivers.host_shell.protocol import HostShell
from provisioner.model.errors import HypervisorError, NotAllowed, Unsupported
from provisioner.model.examination import HostExamination
from templates.host import host_program

_WHAT = "cannot examine the host"
_RESERVE = 0.25
"""Of the time given: for connecting, and for the answer to come back."""
_MOST_RESERVE_S = 10.0


def examine(shell: HostShell, addresses: Sequence[str], *, timeout_s: float) -> HostExamination:
    """The host with these functions and every member of their groups.

    A host that lets no program run (no Python, no shell, no root) gives an examination without a source that says why.

    Raises:
        HostUnreachable, HostTimeout: it did not answer.
        HypervisorError: what it answered cannot be understood.
    """
    arguments = {"addresses": list(addresses), "limit_s": time_there_s(timeout_s)}
    try:
        found = shell.run_python(host_program("examine"), arguments=arguments, timeout_s=timeout_s, what=_WHAT)
    except (Unsupported, NotAllowed) as error:
        return HostExamination(why_not=error.why or error.what)
    try:
        if set(found) == {"why_not"}:
            return HostExamination.model_validate(found)
        return HostExamination.model_validate({"source": shell.source, **found})
    except (ValidationError, TypeError) as error:
        raise HypervisorError(_WHAT, why=f"its answer cannot be understood: {error}") from error


def time_there_s(timeout_s: float) -> float:
    """How long the program there may take, so that its answer comes back within `timeout_s`."""
    return timeout_s - min(_RESERVE * timeout_s, _MOST_RESERVE_S)
