"""Outside programs, called with a limit on time and on captured output, their failures turned into our errors.

Must not use a shell. An error carries the program's last lines, because these say what happened.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from provisioner.model.errors import LabError

KEPT_LINES = 15


def run(
    argv: Sequence[str | Path],
    *,
    doing: str,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and give its output.

    Raises:
        LabError: it cannot be started, fails, or takes longer than `timeout_s` seconds.
    """
    command = [str(part) for part in argv]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            process_group=0,
        )
    except FileNotFoundError as error:
        raise LabError(f"cannot {doing}", why=f"{command[0]} is not installed") from error
    with process:
        output = _output_of(process, doing=doing, timeout_s=timeout_s)
    if process.returncode != 0:
        lines = last_lines(output)
        raise LabError(
            f"cannot {doing}",
            why=f"{command[0]} ended with {process.returncode}: {lines[-1] if lines else 'no output'}",
            context={"log": lines},
        )
    return output.decode(errors="replace")


def _output_of(process: subprocess.Popen[bytes], *, doing: str, timeout_s: float) -> bytes:
    """Wait for the end; whatever comes between, a Ctrl-C too, ends the program and all that it has started."""
    with ExitStack() as undo:
        undo.callback(_kill_group, process)
        try:
            output = process.communicate(timeout=timeout_s)[0]
        except subprocess.TimeoutExpired as error:
            undo.close()
            lines = last_lines(process.communicate()[0])
            raise LabError(f"cannot {doing}", why=f"it took longer than {timeout_s:.0f} s", context={"log": lines}) from error
        undo.pop_all()
    return output


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def last_lines(output: bytes | str) -> list[str]:
    """The end of a program's output, for an error."""
    text = output.decode(errors="replace") if isinstance(output, bytes) else output
    return [line.rstrip() for line in text.splitlines() if line.strip()][-KEPT_LINES:]


def tail_of(file: Path, limit_bytes: int = 4096) -> list[str]:
    """The last lines of a log; empty if there is none."""
    try:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - limit_bytes))
            return last_lines(log.read())
    except FileNotFoundError:
        return []
