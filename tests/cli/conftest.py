"""The command line as a test runs it: in this process with a data directory of its own, or as a process where that matters."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.main import run

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from cli.main import main; main()"]
PROCESS_LIMIT_S = 60
OPEN_FILES_MAX = 300


@dataclass(frozen=True)
class Result:
    """What one command did."""

    code: int
    out: str
    err: str

    def shown(self) -> str:
        """All of it in one text for snapshots."""
        return f"exit {self.code}\n--- stdout\n{self.out}--- stderr\n{self.err}"


class Hikube:
    """Runs commands against one data directory."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Result:
        """In this process."""
        self._capsys.readouterr()
        if len(os.listdir("/proc/self/fd")) > OPEN_FILES_MAX:
            gc.collect()  # a command's store is closed with its process, which this one is not
        code = run([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        return Result(code, self.steady(out), self.steady(err))

    def process(self, *arguments: str, stdin: bytes = b"") -> Result:
        """As a process of its own."""
        done = subprocess.run(
            [*COMMAND, *arguments], input=stdin, capture_output=True, timeout=PROCESS_LIMIT_S, cwd=ROOT, check=False
        )
        return Result(done.returncode, self.steady(done.stdout.decode()), self.steady(done.stderr.decode()))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """As a process that goes on; the test ends it."""
        return subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)

    def file(self, name: str, text: str) -> str:
        """A file in the home directory; returns its path."""
        path = self.home / name
        path.write_text(text)
        return str(path)

    def steady(self, text: str) -> str:
        """The text without what differs from run to run."""
        text = text.replace(str(self.home), "HOME")
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", text)
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID", text)
        text = re.sub(r"crash-\w+-\d+\.log", "crash-WHEN.log", text)
        text = re.sub(r"process \d+", "process PID", text)
        text = re.sub(r" +\d+\.\ds", " TIME", text)
        return re.sub(r"(?<![\w:.-])\d+[smhd](?=$| {2,})(?: {2,})?", "AGE   ", text, flags=re.MULTILINE)


@pytest.fixture(scope="session")
def public_key() -> str:
    """A real public key; its private half is nowhere."""
    return "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF8hCP4Rd2gAxlvVYFD2uTJ1N0yPPLyjFcPg7gPCj9Qq test"


@pytest.fixture
def hikube(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], public_key: str) -> Hikube:
    """The command with an empty home of its own."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(public_key + "\n")
    for name, value in {
        "HOME": str(tmp_path),
        "HIKUBE_DATA_DIR": str(tmp_path / "data"),
        "HIKUBE_CACHE_DIR": str(tmp_path / "cache"),
        "HIKUBE_CONFIG_DIR": str(tmp_path / "config"),
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HIKUBE_NAMESPACE", raising=False)
    return Hikube(tmp_path, capsys)
