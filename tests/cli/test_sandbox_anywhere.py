"""The sandbox where there is no Linux: without the modules and calls that only POSIX has, without libvirt, SSH and root.

What such a system lacks is taken away from a fresh interpreter before anything of hikube is imported; that there is nobody like
root is checked as a user who may write in one folder only. What this cannot show is another system's own file system.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Hikube

LIMIT_S = 120
ELSEWHERE = """
import os, signal, sys

ABSENT = {"fcntl", "termios", "tty", "pty", "pwd", "grp", "resource", "syslog", "libvirt", "libvirtmod", "paramiko"}
CALLS = ("geteuid", "getuid", "getgid", "killpg", "setsid", "fork", "pread", "pwrite", "O_CLOEXEC", "O_DIRECTORY")

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}: this system has none", name=name)

for name in [name for name in sys.modules if name.partition(".")[0] in ABSENT]:
    del sys.modules[name]
sys.meta_path.insert(0, Absent())
for name in CALLS:
    delattr(os, name)
for name in ("SIGALRM", "setitimer", "SIGKILL"):
    delattr(signal, name)

from cli.main import run

for command in sys.argv[1:]:
    code = run(command.split())
    print(f"exit {code}: hikube {command}", file=sys.stderr, flush=True)
os._exit(0)
"""
FIVE_MINUTES = (
    ("sandbox create", 0),
    ("sandbox show", 0),
    ("gpu offers", 0),
    ("gpu vm create train --gpu h100-sxm:2 --timeout 60s", 0),
    ("gpu vm create big --gpu h100-sxm:8", 6),
    ("gpu vm create big --gpu h100-sxm:8 --queue --no-wait", 0),
    ("explain vm big", 0),
    ("gpu vm list", 0),
    ("gpu vm logs train", 0),
    ("gpu vm ssh train", 2),
    ("gpu vm console train", 0),
    ("gpu list", 0),
    ("host doctor h100-1", 0),
    ("disk create data --size 1Gi", 0),
    ("apply -f examples/vm-l40s.yaml --dry-run", 0),
    ("sandbox break h100-1 power", 0),
    ("sandbox mend h100-1", 0),
    ("gpu vm delete train --timeout 60s", 0),
    ("wait vm/big --timeout 60s", 0),
    ("gpu history h100-1/41:00", 0),
    ("events", 0),
    ("completion bash", 0),
    ("version", 0),
    ("sandbox delete --yes", 0),
)


def elsewhere(*commands: str, wrapped: tuple[str, ...] = ()) -> tuple[list[int], str]:
    """Run them one after the other in one interpreter; their exit codes, and all that was said."""
    argv = [*wrapped, sys.executable, "-c", ELSEWHERE, *commands]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, cwd=ROOT, check=False
    )
    return [int(code) for code in re.findall(r"^exit (\d+): hikube", done.stderr, re.MULTILINE)], done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_the_five_minutes_go_well_without_what_only_linux_has(hikube: Hikube) -> None:
    codes, said = elsewhere(*(command for command, _ in FIVE_MINUTES))
    assert dict(zip([command for command, _ in FIVE_MINUTES], codes, strict=True)) == dict(FIVE_MINUTES), said
    assert not (hikube.home / "data" / "sandbox").exists()


def test_what_is_taken_away_is_really_away(hikube: Hikube) -> None:
    taken = ELSEWHERE.replace("from cli.main import run", "import fcntl")
    done = subprocess.run([sys.executable, "-c", taken], capture_output=True, text=True, timeout=LIMIT_S, cwd=ROOT, check=False)
    assert "No module named 'fcntl': this system has none" in done.stderr


NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs")


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home of a user who may write there and nowhere else."""
    if os.geteuid() != 0:
        pytest.skip("whoever runs this is not root, so every other test shows it")
    if subprocess.run([*AS_NOBODY, sys.executable, "-c", "import cli.main"], cwd=ROOT, check=False).returncode:
        pytest.skip("another user may not read this folder")
    with tempfile.TemporaryDirectory() as home:
        os.chown(home, NOBODY, NOBODY)
        for name in ("HOME", "HIKUBE_DATA_DIR", "HIKUBE_CACHE_DIR", "HIKUBE_CONFIG_DIR"):
            monkeypatch.setenv(name, f"{home}/{name.lower()}")
        yield Path(home)


def test_nothing_of_it_needs_root(nobody: Path) -> None:
    commands = ("sandbox create --preset l40s", "gpu vm create train --gpu l40s --timeout 60s", "sandbox delete --yes")
    codes, said = elsewhere(*commands, wrapped=AS_NOBODY)
    assert codes == [0, 0, 0], said
    data = nobody / "hikube_data_dir"
    assert {path.stat().st_uid for path in data.iterdir()} == {NOBODY}
