"""Who has the devices of a host open, seen in one pass over /proc."""

from __future__ import annotations

import os
import time

from templates.host.guarding import HELPER, READER, TimedOut, guarded
from templates.host.kernel_files import DEVICES, driver_of, group_of, is_vfio, names, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIBVIRT = ("libvirtd", "virtqemud", "virtnodedevd")
"""They may keep device files open that they hand to QEMU; they let go by themselves."""
NODES = {"drm": "dri/", "sound": "snd/", "graphics": "", "nvme": ""}
"""Below a function: class of its devices, and where they are in /dev."""
STUCK_S = 0.2
"""A process that is seen to wait uninterruptibly is looked at again after this time."""


class Processes:
    """One pass over /proc: who has device files open, who is at work on a device for us, and where libvirtd is."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.open = []  # type: list[tuple[int, str, str]]
        """Process, its name, and the device file."""
        self.helpers = {}  # type: dict[str, list[int]]
        """Processes that act on a device, by its address."""
        self.readers = {}  # type: dict[str, list[int]]
        """Those that only look at it."""
        self.libvirt = []  # type: list[int]
        for name in names(root, "proc"):
            if name.isdigit():
                self._look(int(name))

    def _look(self, pid: int) -> None:
        name = read(self.root, f"proc/{pid}/comm")
        if name.startswith((HELPER, READER)) and pid != os.getpid():
            found = self.helpers if name.startswith(HELPER) else self.readers
            found.setdefault(name[len(HELPER) :], []).append(pid)
        if name in LIBVIRT:
            self.libvirt.append(pid)
        folder = os.path.join(self.root, f"proc/{pid}/fd")
        seen = set()  # type: set[str]
        for number in names(self.root, f"proc/{pid}/fd"):
            try:
                path = os.readlink(os.path.join(folder, number))
            except OSError:
                continue
            if path.startswith("/dev/") and path not in seen:
                seen.add(path)
                self.open.append((pid, name, path))

    def stuck_helper(self, address: str) -> int:
        """A process of ours that hangs in the kernel over this device; 0 if there is none."""
        waiting = [pid for pid in self.helpers.get(address, []) + self.readers.get(address, []) if self._waits(pid)]
        if waiting:
            time.sleep(STUCK_S)
        return next((pid for pid in waiting if self._waits(pid)), 0)

    def _waits(self, pid: int) -> bool:
        return read(self.root, f"proc/{pid}/stat").rpartition(")")[2].split()[:1] == ["D"]

    def holders(self, address: str) -> list[dict[str, Any]]:
        """Whoever has something of this function open."""
        paths = device_files(self.root, address)
        found = [(pid, name, path) for pid, name, path in self.open if path in paths]
        return [{"pid": pid, "command": self._command(pid, name), "path": path} for pid, name, path in found]

    def _command(self, pid: int, name: str) -> str:
        """Of a QEMU of libvirt's also the domain. Its command line is in memory that may be locked: a child asks for it."""
        if not name.startswith("qemu"):
            return name
        try:
            words = guarded("", lambda: read(self.root, f"proc/{pid}/cmdline"), limit_s=2.0).split("\0")
        except TimedOut:
            return name
        guests = [word[len("guest=") :].split(",")[0] for word in words if word.startswith("guest=")]
        return f"{name}, domain {guests[0]}" if guests else name


def device_files(root: str, address: str) -> set[str]:
    """The paths in /dev through which this function is used."""
    folder = f"{DEVICES}/{address}"
    driver, group = driver_of(root, address), group_of(root, address)
    found = {f"/dev/vfio/devices/{name}" for name in names(root, f"{folder}/vfio-dev")}
    if group is not None and (is_vfio(driver) or not driver):
        found.add(f"/dev/vfio/{group}")
    minor = nvidia_minor(root, address)
    if minor:
        found.add(f"/dev/nvidia{minor}")
    for kind, place in NODES.items():
        for name in names(root, f"{folder}/{kind}"):
            found.add(f"/dev/{place}{name}")
            found |= {f"/dev/{place}{below}" for below in names(root, f"{folder}/{kind}/{name}") if below[-1:].isalnum()}
    return found


def nvidia_minor(root: str, address: str) -> str:
    """The number of its /dev/nvidia file; empty if NVIDIA's driver does not have it."""
    for line in read(root, f"proc/driver/nvidia/gpus/{address}/information").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "Device Minor":
            return value.strip()
    return ""
