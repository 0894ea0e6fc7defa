"""promtool: checks rules and expressions of Prometheus. `python -m tests.tools.promtool` fetches it, and says what happens.

    a promtool of one's own on the PATH ──> used as it is
    else: the cache ──(not there)──> Debian's package `prometheus`, fetched by apt, one file taken out of it

apt checks the package by the archive's signatures. Its upstream version is pinned, its Debian revision is not: archives keep
the latest only. The package is not installed: it would start a server. What lies in the cache is whole, since it got there by
one rename.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.tools.binaries import cache

PACKAGE = "prometheus"
UPSTREAM = "2.42.0"
"""What Debian 12 has."""
MEMBER = "./usr/bin/promtool"
LIMIT_S = 300.0
TAIL_CHARACTERS = 1000

Say = Callable[[str], None]


class FetchFailed(Exception):
    """It cannot be had here; the text says why."""


def find() -> Path | None:
    """Where it lies; None if it has to be fetched."""
    if own := shutil.which("promtool"):
        return Path(own)
    return home() if os.access(home(), os.X_OK) else None


def home() -> Path:
    """Where it lies once it was fetched. Only a name; it need not exist."""
    return cache() / "tools" / f"promtool-{UPSTREAM}" / "promtool"


def fetch(say: Say) -> Path:
    """Fetch it if it is not there. Idempotent; raises FetchFailed."""
    if (found := find()) is not None:
        return found
    version = _version_on_offer()
    say(f"fetching {PACKAGE} {version} with apt, 18 MiB, and taking promtool out of it")
    home().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home().parent, prefix="fetch-") as folder:
        os.chmod(folder, 0o755)  # apt fetches as a user of its own, where it may
        _run(["apt-get", "--quiet", "download", f"{PACKAGE}={version}"], folder)
        (package,) = Path(folder).glob(f"{PACKAGE}_*.deb")
        _run(["dpkg-deb", "--extract", package.name, "."], folder)
        (Path(folder) / MEMBER).replace(home())
    say(f"it is {home()}; nothing was installed")
    return home()


def _version_on_offer() -> str:
    listed = _run(["apt-cache", "madison", PACKAGE], "/")
    versions = [line.split("|")[1].strip() for line in listed.splitlines() if line.count("|") >= 2]
    found = next((version for version in versions if version.startswith(f"{UPSTREAM}+")), None)
    if found is None:
        offered = ", ".join(versions) or "none; apt-get update may help"
        raise FetchFailed(f"{PACKAGE} {UPSTREAM} is wanted, of Debian 12; apt offers {offered}")
    return found


def _run(argv: list[str], folder: str) -> str:
    try:
        done = subprocess.run(argv, cwd=folder, timeout=LIMIT_S, check=False, capture_output=True, text=True, errors="replace")
    except FileNotFoundError as error:
        raise FetchFailed(f"there is no {argv[0]} here") from error
    except subprocess.TimeoutExpired as error:
        raise FetchFailed(f"{' '.join(argv)} did not end in {LIMIT_S:.0f} s") from error
    if done.returncode != 0:
        raise FetchFailed(f"{' '.join(argv)}: exit {done.returncode}\n{done.stderr[-TAIL_CHARACTERS:].strip()}")
    return done.stdout


def _say(line: str) -> None:
    sys.stderr.write(f"promtool: {line}\n")
    sys.stderr.flush()


def main() -> int:
    """One line if there is nothing to do."""
    try:
        _say(f"it is in {fetch(_say).parent}")
    except FetchFailed as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
