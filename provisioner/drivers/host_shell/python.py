"""Python on a host: what is sent, and what its end means.

    what comes back                                     what it means
    ──────────────────────────────────────────────────  ───────────────────────────────────────────
    the mark, status 0                                  a document
    the mark, the alarm's status; or our own limit      HostTimeout
    the mark, any other status                          HypervisorError: the program failed
    no mark, ssh's own status 255                       NotAllowed or HostUnreachable
    no mark, any other status                           Unsupported: no Python ran there

The mark divides the program's output from whatever a login shell prints before it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from provisioner.drivers.host_shell.bounded import Ended, run_bounded
from provisioner.drivers.host_shell.protocol import OUTPUT_LIMIT_BYTES, Source
from provisioner.drivers.ssh_options import is_refusal
from provisioner.model.errors import HikubeError, HostTimeout, HostUnreachable, HypervisorError, NotAllowed, Unsupported

PYTHON = ("python3", "-I", "-S", "-")
"""No site packages and no environment: the standard library of whatever Python 3 is there, and nothing of the user's."""
MARK = b"\x02hikube\x03"
ALARM_STATUS = 124
SSH_FAILED = 255
_WHAT = "cannot look into the host"
_SOURCE = """\
import json, os, signal
signal.signal(signal.SIGALRM, lambda *_: os._exit({alarm_status}))
signal.alarm({limit_s})
ARGUMENTS = json.loads({arguments!a})
os.write(1, {mark!r})
exec(compile({program!a}, "hikube", "exec"))
"""


class PythonShell:
    """See protocol.HostShell: the argv leads to a Python that reads its program from standard input."""

    def __init__(self, source: Source, argv: Sequence[str], *, host: str) -> None:
        self.source: Source = source
        self._argv = argv
        self._host = host

    def run_python(self, program: str, *, arguments: Mapping[str, Any], timeout_s: float, what: str = "") -> Any:
        """See the protocol."""
        what = what or _WHAT
        sent = _SOURCE.format(
            alarm_status=ALARM_STATUS,
            limit_s=max(1, math.ceil(timeout_s)),
            arguments=json.dumps(arguments),
            mark=MARK,
            program=program,
        )
        try:
            ended = run_bounded(self._argv, sent.encode(), timeout_s=timeout_s, output_limit_bytes=OUTPUT_LIMIT_BYTES)
        except OSError as error:
            raise self._error(Unsupported, what, f"{self._argv[0]} cannot be started: {error}") from error
        before, mark, output = bytes(ended.output).partition(MARK)
        if not mark:
            raise self._never_ran(ended, before, what=what, timeout_s=timeout_s)
        if ended.is_too_long:
            raise self._error(HypervisorError, what, f"the program there printed more than {OUTPUT_LIMIT_BYTES} bytes")
        if ended.status is None or ended.status == ALARM_STATUS:
            raise self._error(HostTimeout, what, f"the program there did not end within {timeout_s:g} s and was killed")
        if ended.status == SSH_FAILED and self.source == "ssh":
            raise self._error(HostUnreachable, what, _last_words(ended.said) or "the connection broke")
        if ended.status != 0:
            raise self._error(HypervisorError, what, _last_words(ended.said) or f"it ended with status {ended.status}")
        return self._document(output, what=what)

    def _never_ran(self, ended: Ended, before: bytes, *, what: str, timeout_s: float) -> HikubeError:
        said = _last_words(ended.said) or _last_words(before)
        if ended.status is None:
            return self._error(HostTimeout, what, f"no answer within {timeout_s:g} s{f': {said}' if said else ''}")
        if ended.status == SSH_FAILED and self.source == "ssh":
            return self._error(NotAllowed if is_refusal(said) else HostUnreachable, what, said or "ssh failed")
        return self._error(Unsupported, what, said or f"python3 ended with status {ended.status} before it began")

    def _document(self, output: bytes, *, what: str) -> Any:
        try:
            return json.loads(output)
        except ValueError as error:
            why = f"the program there printed no JSON document: {output[:200].decode(errors='replace')!r}"
            raise self._error(HypervisorError, what, why) from error

    def _error(self, kind: type[HikubeError], what: str, why: str) -> HikubeError:
        return kind(what, why=why, context={"host": self._host, "through": self.source})


def _last_words(said: bytes) -> str:
    """The end of what a program said; of a Python traceback only the error itself."""
    text = said.decode(errors="replace").strip()
    return text.splitlines()[-1] if text.startswith("Traceback ") else text[-1000:]
