"""Built things, each in a folder named after its content key, made once and never changed afterwards.

    <cache>/lab/lock                 held while something is built
    <cache>/lab/packages/            Debian packages, shared by all builds
    <cache>/lab/.building-<entry>/   half-made; whoever holds the lock may throw it away
    <cache>/lab/<entry>/             complete: it got this name by a rename

Invariant: a folder without the `.building-` prefix is complete.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.lab.progress import Progress, step
from provisioner.model.errors import LabError

LOCK_TIMEOUT_S = 3600
UNMOUNT_TIMEOUT_S = 30
UNFINISHED = ".building-"


class ImageCache:
    """The folder of built things."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages = folder / "packages"

    def entry(self, name: str, build: Callable[[Path], None], *, progress: Progress, doing: str) -> Path:
        """The complete folder `name`, built by `build(folder)` if it is not there. The lock must be held."""
        complete = self.folder / name
        if complete.is_dir():
            return complete
        unfinished = self.folder / f"{UNFINISHED}{name}"
        for abandoned in self.folder.glob(f"{UNFINISHED}*"):
            _throw_away(abandoned)
        unfinished.mkdir()
        with step(progress, doing):
            build(unfinished)
            unfinished.rename(complete)
        return complete

    def has(self, name: str) -> bool:
        """Whether the entry is complete."""
        return (self.folder / name).is_dir()

    @contextmanager
    def locked(self, progress: Progress) -> Iterator[None]:
        """Hold the cache against other processes; waits for them for up to an hour.

        Raises:
            LabError: somebody else still builds after that hour.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            _take(lock.fileno(), progress)
            yield


def _take(lock: int, progress: Progress) -> None:
    deadline_s = time.monotonic() + LOCK_TIMEOUT_S
    told = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline_s:
                raise LabError("another process has been building lab images for an hour") from error
            if not told:
                progress("another process builds lab images; waiting for it")
                told = True
            time.sleep(0.5)
        else:
            return


def _throw_away(folder: Path) -> None:
    """Delete a half-made folder, after unmounting what an interrupted build left in it: a mount leads into this machine."""
    for place in sorted(_mounted_in(folder), reverse=True):
        subprocess.run(["umount", place], check=False, capture_output=True, timeout=UNMOUNT_TIMEOUT_S)
    left = _mounted_in(folder)
    if left:
        raise LabError(
            "an interrupted build left mounts behind",
            why=", ".join(left),
            hint=f"as root: umount -R {left[0]}, then run it again",
        )
    shutil.rmtree(folder, ignore_errors=True)


def _mounted_in(folder: Path) -> list[str]:
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [place for place in mounted if place.startswith(f"{folder}/")]
