"""From a list of packages to a tree: mmdebstrap, with signatures checked by the keys that this machine already trusts.

The outer apt verifies every index and package against Debian's keyring; a machine without the keys is told which package brings
them. Packages are kept in a folder of the cache, so that a rebuild downloads only what is new.
Must not: write outside the target and the package cache.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from provisioner.lab.commands import run
from provisioner.lab.recipe import Recipe
from provisioner.model.errors import LabError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEFAULT_MIRROR = "http://deb.debian.org/debian"
SECURITY_MIRROR = "http://deb.debian.org/debian-security"
BOOTSTRAP_TIMEOUT_S = 1500
# Documentation is not read there, and Debian's own initramfs is not used there (see initramfs).
UNWANTED = (
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/lintian/*",
    "/etc/kernel/postinst.d/initramfs-tools",
)
SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))


def bootstrap(recipe: Recipe, *, target: Path, package_cache: Path) -> None:
    """Install the recipe's packages and what they depend on into the new folder `target`.

    Raises:
        LabError: this machine lacks a program, the keys or the rights; or mmdebstrap failed (its last lines are in `context`).
    """
    check_requirements()
    package_cache.mkdir(parents=True, exist_ok=True)
    mirror, security = mirrors()
    suite = recipe.suite
    signed = f"deb [signed-by={KEYRING}]"
    excludes = [f"--dpkgopt=path-exclude={pattern}" for pattern in UNWANTED]
    run(
        [
            # Its mounts inside the tree live and die with it: an interrupted build leaves none on this machine.
            *("unshare", "--mount", "--propagation", "private"),
            "mmdebstrap",
            "--variant=minbase",
            "--format=directory",
            "--skip=download/empty",
            "--skip=essential/unlink",
            '--setup-hook=mkdir -p "$1/var/cache/apt/archives"',
            f"--setup-hook=sync-in '{package_cache}' /var/cache/apt/archives",
            f"--customize-hook=sync-out /var/cache/apt/archives '{package_cache}'",
            "--dpkgopt=force-unsafe-io",
            '--aptopt=Acquire::Languages "none"',
            '--aptopt=Acquire::Retries "3"',
            *excludes,
            f"--include={','.join(recipe.packages)}",
            suite,
            str(target),
            f"{signed} {mirror} {suite} main",
            f"{signed} {mirror} {suite}-updates main",
            f"{signed} {security} {suite}-security main",
        ],
        doing="install Debian packages for the lab",
        timeout_s=BOOTSTRAP_TIMEOUT_S,
    )


def check_requirements() -> None:
    """Raise LabError with what to install or how to call it, when images cannot be built on this machine."""
    if os.geteuid() != 0:
        raise LabError(
            "the lab's images can only be built by root",
            why="installing packages into a folder needs chroot",
            hint="run `sudo -E hikube lab images` once; creating labs from built images does not need root",
        )
    if not shutil.which("mmdebstrap"):
        raise LabError("mmdebstrap is not installed", hint="apt-get install mmdebstrap")
    if not KEYRING.exists():
        raise LabError(f"{KEYRING} is not there", hint="apt-get install debian-archive-keyring")


def mirrors(sources: Sequence[Path] = SOURCES) -> tuple[str, str]:
    """The mirrors of the Debian archive and of its security updates that this machine's apt uses, or Debian's own."""
    text = "\n".join(file.read_text(errors="replace") for source in sources for file in _files(source))
    found = re.findall(r"^(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s+(https?://\S+)", text, re.MULTILINE)
    archive = next((uri for uri in found if uri.rstrip("/").endswith("/debian")), DEFAULT_MIRROR)
    security = next((uri for uri in found if uri.rstrip("/").endswith("/debian-security")), SECURITY_MIRROR)
    return archive, security


def _files(source: Path) -> list[Path]:
    if source.is_dir():
        return sorted(file for file in source.iterdir() if file.suffix in (".list", ".sources"))
    return [source] if source.is_file() else []
