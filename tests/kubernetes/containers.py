"""Container images without a registry: a base of Debian packages by mmdebstrap, and Debian's buildah on top of it.

    mmdebstrap ──> base.tar (kept in the cache) ──> localhost/base ──buildah bud──> localhost/hikube ──buildah run──> a command

Layers lie in a private folder and go with it. A program in a container is a process of this machine in a chroot.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.lab.bootstrap import KEYRING, mirrors
from tests.tools import binaries

BASE_NAME = "localhost/base:bookworm"
LIMIT_S = 60.0
BOOTSTRAP_LIMIT_S = 300.0
BUILD_LIMIT_S = 600.0
TAIL_LINES = 40
CERTIFICATES = "/run/build/certificates.pem"

PRIVATE_MOUNTS = ("unshare", "--mount", "--propagation", "private")
AS_A_POD = """
set -e
root=$1 user=$2 writable=$3 account=$4
shift 4
mount --bind "$root" "$root"
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
for place in $writable; do mount -t tmpfs -o mode=1777,size=256m tmpfs "$root$place"; done
mkdir -p "$root/run/secrets/kubernetes.io/serviceaccount"
mount --bind "$account" "$root/run/secrets/kubernetes.io/serviceaccount"
mount -o remount,bind,ro "$root"
exec chroot "$root" /usr/bin/setpriv --reuid="$user" --regid="$user" --clear-groups --bounding-set=-all --inh-caps=-all \
  --no-new-privs --pdeathsig=KILL /usr/bin/env -i "$@"
"""
"""Each program becomes the next, so the process that was started is the command at last."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def why_not() -> str:
    """What this machine lacks for images; empty if it has all."""
    if os.geteuid() != 0:
        return "images are built by root"
    absent = [program for program in ("buildah", "mmdebstrap") if shutil.which(program) is None]
    return f"not installed: {', '.join(absent)} (apt-get install {' '.join(absent)})" if absent else ""


def base_tar() -> Path:
    """A minimal Debian as an image of it has, made on first use; what is in the cache stays there.

    Raises: AssertionError: mmdebstrap failed.
    """
    found = binaries.home().parents[1] / "bases" / "bookworm-minbase.tar"
    if not found.exists():
        found.parent.mkdir(parents=True, exist_ok=True)
        archive, security = mirrors()
        signed = f"deb [signed-by={KEYRING}]"
        sources = [
            f"{signed} {archive} bookworm main",
            f"{signed} {security} bookworm-security main",
        ]
        unfinished = found.with_suffix(f".{os.getpid()}.tar")
        try:
            _run(["mmdebstrap", "--variant=minbase", "bookworm", str(unfinished), *sources], limit_s=BOOTSTRAP_LIMIT_S)
            unfinished.rename(found)
        finally:
            unfinished.unlink(missing_ok=True)
    return found


class Buildah:
    """Debian's buildah with its layers below a private folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        place = ["--root", str(root / "layers"), "--runroot", str(root / "run"), "--storage-driver", "vfs"]
        self._argv = ["buildah", *place]

    def import_base(self, tar: Path) -> None:
        """Make an image of a tar of a whole tree."""
        name = self.ok("from", "scratch").strip()
        self.ok("add", "--quiet", name, str(tar), "/", limit_s=BUILD_LIMIT_S)
        self.ok("commit", "--quiet", "--rm", name, BASE_NAME, limit_s=BUILD_LIMIT_S)

    def build(self, context: Path, file: Path, *, tag: str, arguments: Mapping[str, str]) -> None:
        """Build a Dockerfile; packages come from where this machine's pip and apt have them."""
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        where = ["--isolation", "chroot", "--pull-never", *given, *self._as_this_machine()]
        self.ok("bud", "--quiet", *where, "--file", str(file), "--tag", tag, str(context), limit_s=BUILD_LIMIT_S)

    def inspect(self, image: str) -> Mapping[str, Any]:
        """What the image says of itself, as OCI has it."""
        answer: dict[str, Any] = json.loads(self.ok("inspect", "--type", "image", image))["OCIv1"]
        return answer

    def start(self, image: str) -> str:
        """A container of it; returns its name."""
        return self.ok("from", "--pull-never", image, limit_s=BUILD_LIMIT_S).strip()

    def run(self, container: str, *argv: str, options: Sequence[str] = ()) -> Ended:
        """One command in the container, as the image's user unless the options say otherwise."""
        return self("run", "--isolation", "chroot", *options, container, "--", *argv)

    def argv_as_a_pod(self, container: str, *argv: str, user: int, writable: Sequence[str], account: Path) -> list[str]:
        """A command in the container's files as a kubelet would start it: no file can be changed but in fresh places.

        Args:
            user: its uid and gid; it has no other groups, no capability, and no way to get one.
            writable: where it may write.
            account: a folder with the files of a service account.
        """
        environment = [each for each in self._begins_with(container)["Env"] if "=" in each]
        place = str(self.mount(container))
        before = [*PRIVATE_MOUNTS, "sh", "-c", AS_A_POD, "sh", place, str(user), " ".join(writable), str(account)]
        return [*before, *environment, "HOME=/home/hikube", *argv]

    def run_as_a_pod(self, container: str, *argv: str, user: int, writable: Sequence[str], account: Path) -> Ended:
        """See `argv_as_a_pod`; to its end."""
        whole = self.argv_as_a_pod(container, *argv, user=user, writable=writable, account=account)
        path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        done = subprocess.run(whole, env=path, timeout=LIMIT_S, check=False, capture_output=True, text=True)
        return Ended(done.returncode, done.stdout, done.stderr)

    def mount(self, container: str) -> Path:
        """Where its files are."""
        return Path(self.ok("mount", container).strip())

    def __call__(self, *arguments: str, limit_s: float = LIMIT_S) -> Ended:
        """Any command of buildah's, to its end."""
        done = subprocess.run(
            [*self._argv, *arguments], cwd=self._root, timeout=limit_s, check=False, capture_output=True, text=True
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, limit_s: float = LIMIT_S) -> str:
        """One that must succeed. Returns what it printed."""
        ended = self(*arguments, limit_s=limit_s)
        assert ended.code == 0, f"buildah {arguments[0]}: exit {ended.code}\n{_tail(ended.out + ended.err)}"
        return ended.out

    def remove(self) -> None:
        """All containers and layers."""
        self("rm", "--all")
        shutil.rmtree(self._root, ignore_errors=True)

    def _begins_with(self, container: str) -> Mapping[str, Any]:
        answer: dict[str, Any] = json.loads(self.ok("inspect", container))["OCIv1"]["config"]
        return answer

    def _as_this_machine(self) -> list[str]:
        """For the build only: the index and certificates of this machine's pip, and a dpkg that does not wait for the disk."""
        settings = [f"index-url = {index}"] if (index := os.environ.get("PIP_INDEX_URL")) else []
        files = {"/etc/dpkg/dpkg.cfg.d/unsafe-io": "force-unsafe-io\n"}  # as Debian's own images have it
        volumes = []
        if certificates := os.environ.get("PIP_CERT"):
            settings.append(f"cert = {CERTIFICATES}")
            volumes.append(f"--volume={certificates}:{CERTIFICATES}:ro")
        files["/etc/pip.conf"] = "\n".join(["[global]", *settings, ""])
        for place, text in files.items():
            file = self._root / Path(place).name
            file.write_text(text)
            volumes.append(f"--volume={file}:{place}:ro")
        return volumes


def _run(argv: Sequence[str], *, limit_s: float) -> None:
    done = subprocess.run(list(argv), timeout=limit_s, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{argv[0]}: exit {done.returncode}\n{_tail(done.stderr)}"


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-TAIL_LINES:])
