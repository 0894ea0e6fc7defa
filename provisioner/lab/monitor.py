"""The little of QEMU's monitor protocol (QMP) that a lab needs: end the machine.

One JSON object per line; the monitor greets, wants `qmp_capabilities`, then takes commands. Everything has a short time limit,
because a machine that does not answer is killed by its process anyway.
"""

from __future__ import annotations

import json
import socket
from io import BufferedRWPair
from pathlib import Path

TIMEOUT_S = 5.0
LINE_LIMIT_BYTES = 65536
LINES_LIMIT = 100


def quit_machine(monitor_socket: Path) -> bool:
    """Ask QEMU to end; False if it did not take the command."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(str(monitor_socket))
            with connection.makefile("rwb") as lines:
                lines.readline(LINE_LIMIT_BYTES)
                return all(_execute(lines, command) for command in ("qmp_capabilities", "quit"))
    except (OSError, ValueError):
        return False


def _execute(lines: BufferedRWPair, command: str) -> bool:
    lines.write(json.dumps({"execute": command}).encode() + b"\n")
    lines.flush()
    for _ in range(LINES_LIMIT):
        line = lines.readline(LINE_LIMIT_BYTES)
        if not line:
            return False
        answer = json.loads(line)
        if "return" in answer or "error" in answer:
            return "return" in answer
    return False
