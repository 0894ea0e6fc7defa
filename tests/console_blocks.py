"""What a page shows in its console blocks: commands behind `$ `, and below each of them lines that it prints.

A page may leave lines out; every line that it shows must be printed. Times and the width of columns differ from run to run. A
command that ends otherwise than well says so behind it: `# exit 6`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.documents import ROOT, Page

PROCESS_LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Shown:
    """A command of a page, how it must end, and what the page shows of its output."""

    command: str
    exit_code: int
    lines: tuple[str, ...]


def shown_on(page: Page) -> list[Shown]:
    """The commands of the page's console blocks, in order."""
    return list(_shown("".join(block.text for block in page.blocks() if block.language == "console")))


def _shown(text: str) -> Iterator[Shown]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *lines = part.splitlines()
        exit_code = re.search(r"# exit (\d+)$", command)
        yield Shown(command, int(exit_code[1]) if exit_code else 0, tuple(line for line in lines if line))


def at_home_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything of the user's is in this folder, and `hikube` is this environment's."""
    for name in ("HOME", "HIKUBE_DATA_DIR", "HIKUBE_CACHE_DIR", "HIKUBE_CONFIG_DIR"):
        monkeypatch.setenv(name, str(folder / name.lower()))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("HIKUBE_NAMESPACE", raising=False)
    return folder


def check(shown: Shown) -> str:
    """Run it in a shell of its own; it must end as the page says, and print what the page shows. Returns what it printed."""
    argv = ["bash", "-c", shown.command]
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PROCESS_LIMIT_S,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == shown.exit_code, f"$ {shown.command}\nexit {done.returncode}\n{done.stdout}"
    printed = {steady(line) for line in done.stdout.splitlines()}
    missing = [line for line in shown.lines if steady(line) not in printed]
    assert not missing, f"$ {shown.command}\nshown, not printed: {missing}\nprinted:\n{done.stdout}"
    return done.stdout


def steady(line: str) -> str:
    """The line without times, ages and the width of columns."""
    line = re.sub(r"\d+\.\ds\b", "TIME", line)
    line = re.sub(r"(?<![\w:.-])\d+[smhd](?=$| {2,})", "AGE", line)
    return re.sub(r" +", " ", line).strip()
