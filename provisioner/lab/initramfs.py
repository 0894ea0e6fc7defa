"""A minimal initramfs: busybox, the few modules that the root disk needs, and one shell script as init.

Debian's own initramfs is 36 MB, most of it udev and modules; unpacking and running it is a third of a boot under emulation.
This one is 5 MB and has no daemon. The archive is written here (cpio "newc", as the kernel's page "initramfs buffer format" has
it) because that is 30 lines and needs no root for device nodes.

Invariant: the same tree and script give the same bytes (no times, no inode numbers of the machine).
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

from provisioner.lab.kernel import KernelModules

APPLETS = ("sh", "cat", "echo", "grep", "insmod", "ip", "mount", "poweroff", "sleep", "switch_root")
FOLDERS = ("bin", "dev", "proc", "sys", "modules", "root")


class CpioArchive:
    """Collects entries of a "newc" archive in memory."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._count = 0

    def add(self, name: str, mode: int, data: bytes = b"", *, device: tuple[int, int] = (0, 0)) -> None:
        """One entry; `mode` includes the file type, `device` is major and minor of a device node."""
        self._count += 1
        path = name.encode() + b"\0"
        numbers = (self._count, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % number for number in numbers)
        self._parts += [_padded(head + path), _padded(data)]

    def finish(self) -> bytes:
        """The whole archive."""
        self.add("TRAILER!!!", 0)
        return b"".join(self._parts)


def build_initramfs(tree: Path, *, modules: Iterable[str], init: str) -> bytes:
    """An initramfs from the busybox and the kernel modules in `tree`.

    `@INSMOD@` in `init` becomes one insmod per module, in an order that their dependencies allow.
    """
    archive = CpioArchive()
    for folder in FOLDERS:
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("bin/busybox", stat.S_IFREG | 0o755, (tree / "bin/busybox").read_bytes())
    for applet in APPLETS:
        archive.add(f"bin/{applet}", stat.S_IFLNK | 0o777, b"busybox")
    kernel = KernelModules(tree)
    commands = []
    for path in kernel.in_load_order(modules):
        name = f"modules/{Path(path).name.partition('.ko')[0]}.ko"
        archive.add(name, stat.S_IFREG | 0o644, kernel.read(path))
        commands.append(f"insmod /{name}")
    archive.add("init", stat.S_IFREG | 0o755, init.replace("@INSMOD@", "\n".join(commands)).encode())
    return archive.finish()


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
