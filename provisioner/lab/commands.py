"""Outside programs, called with a limit on time and on captured output, their failures turned into our errors.

Must not use a shell. An error carries the program's last lines, because these say what happened.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
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
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            env=env,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(f"cannot {doing}", why=f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(
            f"cannot {doing}",
            why=f"{command[0]} took longer than {timeout_s:.0f} s",
            context={"log": last_lines(error.stdout or b"")},
        ) from error
    if done.returncode != 0:
        lines = last_lines(done.stdout)
        raise LabError(
            f"cannot {doing}",
            why=f"{command[0]} ended with {done.returncode}: {lines[-1] if lines else 'no output'}",
            context={"log": lines},
        )
    return done.stdout.decode(errors="replace")


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
