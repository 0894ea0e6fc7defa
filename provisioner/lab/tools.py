"""Programs of the host image's tree, run on this machine without chroot: QEMU above all.

Nested virtualisation under emulation needs QEMU 10 or later, and Debian 12 has 7.2. The tree's own dynamic loader runs its
programs with its libraries, so they work on any x86-64 Linux, for any user, with ordinary paths.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from provisioner.lab.commands import run

LOADER = "lib64/ld-linux-x86-64.so.2"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
FIRMWARE = ("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu")


@dataclass(frozen=True, slots=True)
class Tools:
    """The tree at `tree` as a place to run programs from."""

    tree: Path

    def argv(self, program: str) -> list[str]:
        """How to start `program`, a path inside the tree."""
        return [str(self.tree / LOADER), "--library-path", str(self.tree / LIBRARIES), str(self.tree / program)]

    def environment(self) -> dict[str, str]:
        """The environment that the tree's programs find their parts by."""
        return {
            **os.environ,
            "QEMU_MODULE_DIR": str(self.tree / LIBRARIES / "qemu"),
            "MKE2FS_CONFIG": str(self.tree / "etc/mke2fs.conf"),
        }

    def qemu(self) -> list[str]:
        """QEMU with the tree's firmware."""
        firmware = [part for folder in FIRMWARE for part in ("-L", str(self.tree / folder))]
        return [*self.argv("usr/bin/qemu-system-x86_64"), *firmware]

    def run(self, program: str, *arguments: str | Path, doing: str, timeout_s: float) -> str:
        """Run a program of the tree to its end; see `commands.run`."""
        return run([*self.argv(program), *arguments], doing=doing, timeout_s=timeout_s, env=self.environment())
