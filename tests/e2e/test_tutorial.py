"""The newcomer's path: every command of the tutorial, in its order, as it stands on the page, in a GPU host in a box.

Each line behind `$ ` runs in a bash of its own and must end with exit 0, or with the number in its `# exit N`. Home and data
folder are fresh, so nothing of the user counts; only the images of labs come from the user's cache. Whatever happens, the labs
of that data folder are gone afterwards.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.lab import LabImages, delete, list_labs
from provisioner.lab.paths import image_cache
from tests.documents import ROOT, Page

TUTORIAL = Page(ROOT / "docs/tutorial/first-gpu-vm.md")
SET_UP = re.compile(r"^(git clone|cd |make setup|export PATH=)")
"""The lines that make this very environment; whoever runs this test has done them."""
COMMAND_LIMIT_S = 1200
PAGE_LIMIT_S = 2700


@dataclass(frozen=True, slots=True)
class Line:
    """One command of the page and how it must end."""

    command: str
    exit_code: int


def _lines() -> list[Line]:
    typed = [line for line in TUTORIAL.shell_lines() if not SET_UP.match(line)]
    exits = [re.search(r"# exit (\d+)$", line) for line in typed]
    return [Line(line, int(match[1]) if match else 0) for line, match in zip(typed, exits, strict=True)]


@pytest.fixture
def home(tmp_path: Path, images: LabImages, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own, this environment's programs, the user's images of labs; and no lab left at the end."""
    assert images.guest_image.exists()
    monkeypatch.setenv("HIKUBE_CACHE_DIR", str(image_cache().parent))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HIKUBE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HIKUBE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("HIKUBE_NAMESPACE", raising=False)
    try:
        yield tmp_path
    finally:
        for lab in list_labs():
            delete(lab.name)


@pytest.mark.timeout(PAGE_LIMIT_S)
def test_every_command_of_the_tutorial_does_what_the_page_says(home: Path) -> None:
    lines = _lines()
    assert len(lines) > 8
    for line in lines:
        _run(line, home)
    assert _ask("hikube lab list -o json", home).strip() == "[]"
    assert _ask("hikube get gpuclaims -o name", home) == ""
    assert _ask("hikube get vm -o name", home) == ""


def _run(line: Line, home: Path) -> None:
    started = time.monotonic()
    code, output = _bash(line.command, home)
    sys.stderr.write(f"{time.monotonic() - started:6.1f} s  $ {line.command}\n")
    assert code == line.exit_code, f"$ {line.command}\nexit {code}, expected {line.exit_code}\n{output}"


def _ask(command: str, home: Path) -> str:
    code, output = _bash(f"{command} 2>/dev/null", home)
    assert code == 0, output
    return output


def _bash(command: str, home: Path) -> tuple[int, str]:
    """Run one line; all that it started ends with it if its time is up. What labs leave running is theirs."""
    log = home / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=ROOT, start_new_session=True
        )
        try:
            code = process.wait(timeout=COMMAND_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            pytest.fail(f"$ {command}\ndid not end in {COMMAND_LIMIT_S} s\n{log.read_text(errors='replace')[-4000:]}")
    return code, log.read_text(errors="replace")
