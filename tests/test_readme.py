"""What README shows is what is printed: its commands run, in order, and every line that it shows comes out.

The host is simulated, the image a small file that stands for one with a driver. Times, and the place of the state file, differ.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.documents import ROOT, Page

SIMULATED_STATE = "/tmp/gpu-04.json"
PROCESS_LIMIT_S = 60
QCOW2_HEADER = struct.Struct(">4sIQIIQIIQQIIQ")
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Shown:
    """A command of the page and what the page shows of its output."""

    command: str
    lines: list[str]


def _shown() -> list[Shown]:
    blocks = [block.text for block in Page(ROOT / "README.md").blocks() if block.language == "console"]
    found: list[Shown] = []
    for line in "".join(blocks).splitlines():
        if line.startswith("$ "):
            found.append(Shown(line[2:], []))
        elif line:
            found[-1].lines.append(line)
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "HIKUBE_DATA_DIR", "HIKUBE_CACHE_DIR", "HIKUBE_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("HIKUBE_NAMESPACE", raising=False)
    return tmp_path


def test_what_the_readme_shows_is_printed(home: Path) -> None:
    image = home / "ubuntu-cuda.qcow2"
    image.write_bytes(QCOW2_HEADER.pack(b"QFI\xfb", 2, 0, 0, 16, 2048 * MIB, 0, 0, 0, 0, 0, 0, 0).ljust(MIB, b"\0"))
    driver = "--distribution ubuntu --user ubuntu --min-storage 20Gi --nvidia-driver 580-server-open"
    _bash(f"hikube image add ubuntu-cuda file://{image} {driver}", home)
    shown = _shown()
    assert len(shown) > 3
    for each in shown:
        printed = {_steady(line) for line in _bash(each.command, home).splitlines()}
        missing = [line for line in each.lines if _steady(line) not in printed]
        assert not missing, f"$ {each.command}\nshown, not printed: {missing}\nprinted:\n" + "\n".join(sorted(printed))


def _steady(line: str) -> str:
    """The line without times and the width of columns."""
    return re.sub(r" +", " ", re.sub(r"\d+\.\ds\b", "TIME", line)).strip()


def _bash(command: str, home: Path) -> str:
    argv = ["bash", "-c", command.replace(SIMULATED_STATE, str(home / "gpu-04.json"))]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PROCESS_LIMIT_S, cwd=ROOT, check=False)
    return done.stdout + done.stderr
