"""Runs the operator's command between two tenants of a GPU: in a session of its own, with a bound on time and output."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TAIL = 4000
"""Characters of its output that are kept, the last ones."""
POLL_S = 0.05
DEATH_S = 1.0
"""How long the death of what was killed is waited for; what cannot die is left."""


def run(command: str, *, limit_s: float) -> dict[str, Any]:
    """How the shell command ended; at the limit it is killed with all that it started.

    What it leaves in the background with its output open is not waited for.
    """
    began_s = time.monotonic()
    argv = ["sh", "-c", command]
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    tail = followed(process, deadline_s=began_s + limit_s)
    duration_s = round(time.monotonic() - began_s, 3)
    output_tail = tail.decode("utf-8", "replace")[-TAIL:]
    if process.poll() is None:
        kill(process)
        why = f"the command did not end within {limit_s:.0f} s and was killed"
        return {"outcome": "timed-out", "why": why, "output_tail": output_tail}
    status = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return {"outcome": "done", "exit_status": status, "output_tail": output_tail, "duration_s": duration_s}


def followed(process: subprocess.Popen[bytes], *, deadline_s: float) -> bytes:
    """The end of what it prints until it ends, or until the deadline."""
    tail = b""
    assert process.stdout is not None
    with process.stdout as output:
        os.set_blocking(output.fileno(), False)
        watched = [output]
        while time.monotonic() < deadline_s:
            has_ended = process.poll() is not None
            if watched and select.select(watched, [], [], 0 if has_ended else POLL_S)[0]:
                chunk = os.read(output.fileno(), 65536)
                tail = (tail + chunk)[-4 * TAIL :]
                watched = watched if chunk else []
            elif has_ended:
                break
            elif not watched:
                time.sleep(POLL_S)
    return tail


def kill(process: subprocess.Popen[bytes]) -> None:
    """End it and its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEATH_S)
    except (OSError, subprocess.TimeoutExpired):
        pass
