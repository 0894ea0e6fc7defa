"""The QEMU process of one host: started apart from us, recognised again later, ended for sure.

A process id alone is not an identity, since ids are used again; the record keeps the process's start time (field 22 of
/proc/<pid>/stat) too, and nothing that does not match both is ever signalled.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from provisioner.lab.commands import tail_of
from provisioner.lab.monitor import quit_machine
from provisioner.model.errors import LabError

QUIT_TIMEOUT_S = 5.0
KILL_TIMEOUT_S = 10.0
POLL_S = 0.1
START_TIME_FIELD = 21


def start_process(argv: Sequence[str], *, env: Mapping[str, str], record: Path, log: Path) -> None:
    """Start a program in a session of its own, its output in `log`, its identity in `record`."""
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                list(argv),
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise LabError(f"cannot start {argv[0]}", why=str(error)) from error
    record.write_text(json.dumps({"pid": process.pid, "started": _start_time(process.pid)}))
    # The child outlives us on purpose: without this, the interpreter warns about it at exit.
    process.returncode = 0


def is_running(record: Path) -> bool:
    """Whether the recorded process still exists."""
    return _running_pid(record) is not None


def signal_process(record: Path, number: int) -> None:
    """Send a signal to the recorded process.

    Raises:
        LabError: it does not exist any more.
    """
    pid = _running_pid(record)
    if pid is None:
        raise LabError("the host's QEMU does not run")
    os.kill(pid, number)


def end_process(record: Path, *, monitor_socket: Path) -> None:
    """End the recorded process: by its monitor if it listens, by SIGKILL if it does not. Safe to repeat.

    Raises:
        LabError: it is still there afterwards.
    """
    pid = _running_pid(record)
    if pid is not None and not (quit_machine(monitor_socket) and _gone(record, QUIT_TIMEOUT_S)):
        _kill(pid)
        if not _gone(record, KILL_TIMEOUT_S):
            raise LabError(f"QEMU (process {pid}) does not end")
    record.unlink(missing_ok=True)


def failure(what: str, *, logs: Sequence[Path]) -> LabError:
    """An error that carries the last lines of the logs."""
    lines = [line for log in logs for line in tail_of(log)]
    return LabError(what, why=lines[-1] if lines else "", context={"log": lines})


def _running_pid(record: Path) -> int | None:
    try:
        known = json.loads(record.read_text())
        pid, started = int(known["pid"]), known["started"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    _reap(pid)
    return pid if started is not None and _start_time(pid) == started else None


def _start_time(pid: int) -> str | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = status.rpartition(")")[2].split()
    # fields begins with the state, which is the third field of the file
    return None if fields[0] in "ZX" else fields[START_TIME_FIELD - 2]


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _gone(record: Path, timeout_s: float) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while is_running(record):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True
