"""A daemon that a test starts, kills, freezes and starts again; its output is a file whose end is in every error.

No process outlives the tests: the kernel kills it when the thread that started it ends, so only the main thread starts it.
Every wait has a limit, and ends at once when the process does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

START_LIMIT_S = 60.0
"""A quiet machine needs a tenth of it."""

STOP_LIMIT_S = 90.0
"""An API server that is watched takes up to 60 s."""
POLL_S = 0.05
DIE_WITH_THE_TESTS = ("setpriv", "--pdeathsig", "KILL", "sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')
"""Followed by our pid and the daemon, which it becomes, unless we have died before it could be told of that.

Code of ours between fork and exec would be at the mercy of locks that other threads hold.
"""

TAIL_LINES = 30
TAIL_BYTES = 16 * 1024


class DaemonTrouble(AssertionError):
    """A daemon ended, or did not get there in time; the text ends with its last words."""


class Daemon:
    """One process at a time, of one command line."""

    def __init__(self, name: str, argv: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._argv = list(argv)
        self._environment = dict(environment)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it if it does not run. It may not be ready when this returns."""
        if self.is_running:
            return
        assert threading.current_thread() is threading.main_thread(), "a daemon dies with the thread that starts it"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*DIE_WITH_THE_TESTS, str(os.getpid()), *self._argv],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Frozen ones run too."""
        return self._process is not None and self._process.poll() is None

    @property
    def was_started(self) -> bool:
        """At any time, whatever became of it."""
        return self._process is not None

    @property
    def exit_code(self) -> int | None:
        """Of the latest process; None while it runs, or if there was none."""
        return self._process.poll() if self._process is not None else None

    @property
    def pid(self) -> int:
        """Of the latest process, alive or not."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def cpu_s(self) -> float:
        """What the running process has used of the processor so far, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """Let it die without a word, also if it is frozen; nothing if it does not run."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_LIMIT_S)

    def stop(self) -> None:
        """Ask it to end, as an upgrade does; raises DaemonTrouble, and kills it, if it does not."""
        if self._process is None or not self.is_running:
            return
        self.thaw()
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise self.trouble(f"did not end within {STOP_LIMIT_S:g} s") from error

    def freeze(self) -> None:
        """Let it hang: its connections stay open, and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on; nothing if it does not run."""
        if self.is_running:
            os.kill(self.pid, signal.SIGCONT)

    def wait_until(self, holds: Callable[[], bool], otherwise: str, *, limit_s: float = START_LIMIT_S) -> None:
        """Wait for what the running process should bring about; raises DaemonTrouble."""
        deadline_s = time.monotonic() + limit_s
        pause = threading.Event()
        while not holds():
            if not self.is_running:
                raise self.trouble("ended" if self._process is None else f"ended with {self._process.returncode}")
            if time.monotonic() > deadline_s:
                raise self.trouble(f"{otherwise} after {limit_s:g} s")
            pause.wait(POLL_S)

    def tail(self) -> str:
        """The last lines of all its output, across restarts."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-TAIL_LINES:])

    def trouble(self, what: str) -> DaemonTrouble:
        """An error about this daemon."""
        return DaemonTrouble(f"{self.name} {what}; the end of {self.log}:\n{self.tail()}")
