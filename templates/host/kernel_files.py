"""What the programs on a host read of the kernel's files.

Plain Python 3.9, standard library only, few imports: it is sent to hosts as text, and a host may be emulated. `root` is where
the host's files are; tests hand in a tree of their own.
"""

from __future__ import annotations

import os

DEVICES = "sys/bus/pci/devices"
READ_LIMIT = 1024 * 1024


def read(root: str, path: str) -> str:
    """The beginning of a text file, stripped; empty if it cannot be read."""
    try:
        with open(os.path.join(root, path), "rb") as file:
            return file.read(READ_LIMIT).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def names(root: str, path: str) -> list[str]:
    """The entries of a directory, sorted; none if it is not there."""
    try:
        return sorted(os.listdir(os.path.join(root, path)))
    except OSError:
        return []


def link_name(root: str, path: str) -> str:
    """The last part of what a link points to; empty if there is none."""
    try:
        return os.path.basename(os.readlink(os.path.join(root, path)))
    except OSError:
        return ""


def is_there(root: str, address: str) -> bool:
    """Whether the kernel knows a function of this address."""
    return os.path.isdir(os.path.join(root, DEVICES, address))


def driver_of(root: str, address: str) -> str:
    """The driver that it is bound to; empty if none."""
    return link_name(root, f"{DEVICES}/{address}/driver")


def is_vfio(driver: str) -> bool:
    """vfio-pci, or one of its variants (`nvgrace_gpu_vfio_pci`)."""
    return driver.replace("_", "-").endswith("vfio-pci")


def group_of(root: str, address: str) -> int | None:
    """The number of its IOMMU group."""
    name = link_name(root, f"{DEVICES}/{address}/iommu_group")
    return int(name) if name.isdigit() else None


def parent_of(root: str, address: str) -> str:
    """The address of the bridge above; empty at the root."""
    above = os.path.basename(os.path.dirname(os.path.realpath(os.path.join(root, DEVICES, address))))
    return above if above.count(":") == 2 and "." in above else ""


def reset_methods(root: str, address: str) -> list[str]:
    """How the kernel can reset it, best first.

    A function that shares its bus has no bus reset of its own, and then often none at all. VFIO can reset the bus as a whole if
    everything on it is in one group, so that is `bus` too, unless somebody emptied reset_method: that means not at all.
    """
    folder = f"{DEVICES}/{address}"
    if os.path.exists(os.path.join(root, folder, "reset_method")):
        return read(root, f"{folder}/reset_method").split()
    if os.path.exists(os.path.join(root, folder, "reset")):
        return ["reset"]
    return ["bus"] if is_alone_on_its_bus(root, address) else []


def is_alone_on_its_bus(root: str, address: str) -> bool:
    """Whether every function of its bus is in its IOMMU group; a bus below a bridge, that is."""
    group = group_of(root, address)
    if group is None or not parent_of(root, address):
        return False
    bus = address.rsplit(":", 1)[0] + ":"
    return all(group_of(root, other) == group for other in names(root, DEVICES) if other.startswith(bus))


def config_bytes(root: str, address: str, offset: int, count: int) -> bytes:
    """Some of its config space; fewer bytes than asked where there is less of it. May hang: for children only."""
    try:
        descriptor = os.open(os.path.join(root, DEVICES, address, "config"), os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.pread(descriptor, count, offset)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def is_alive(head: bytes) -> bool | None:
    """Whether config space answers, by its first bytes; None if it could not be read."""
    return head[:2] != b"\xff\xff" if len(head) >= 2 else None


def is_bridge(head: bytes, pci_class: str) -> bool:
    """By the header type where config space answers, otherwise by the class."""
    if len(head) > 14 and is_alive(head):
        return head[14] & 0x7F != 0
    return pci_class.startswith("0604")
