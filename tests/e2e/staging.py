"""Trouble on a real host, staged for real: each function makes one kind of it in the box and takes it away again.

What is staged runs on the host as a transient systemd unit, so that it outlives the SSH session that began it and dies by name.
Nothing here looks at hikube.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.rig import Rig

HOLDING = """
import sys, threading
kept = open(sys.argv[1], "rb")
open("/run/holds", "w").close()
threading.Event().wait()
"""

HOLDING_UNSEEN = """
import array, os, socket, sys, threading
ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
held = os.open(sys.argv[1], os.O_RDWR)
ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [held]))])
os.close(held)
open("/run/holds", "w").close()
threading.Event().wait()
"""
"""An open file that is in flight between two sockets is in no process's /proc/*/fd, and as open as any."""

HOLDER, HOLDS = "/run/holder.py", "/run/holds"

STINGY_LIBVIRTD = "[Service]\\nLimitMEMLOCK=64M\\nCapabilityBoundingSet=~CAP_SYS_RESOURCE\\n"
DROP_IN = "/run/systemd/system/libvirtd.service.d/stingy.conf"


@contextmanager
def running(rig: Rig, name: str, command: str) -> Iterator[None]:
    """A command that runs on the host meanwhile."""
    rig.on_box(f"systemd-run --quiet --collect --unit={name} {command}")
    try:
        yield
    finally:
        rig.on_box(f"systemctl stop {name} || true")


@contextmanager
def held_open(rig: Rig, path: str, *, unseen: bool = False) -> Iterator[None]:
    """A process that has the path open; an unseen one shows up in no list of open files."""
    program = base64.b64encode((HOLDING_UNSEEN if unseen else HOLDING).encode()).decode()
    rig.on_box(f"echo {program} | base64 -d > {HOLDER} && rm -f {HOLDS}")
    with running(rig, "holder", f"python3 {HOLDER} {path}"):
        rig.on_box(f"for n in $(seq 60); do [ -e {HOLDS} ] && exit; sleep 0.5; done; exit 1")
        yield


@contextmanager
def without_reset(rig: Rig, address: str) -> Iterator[None]:
    """A function that the kernel has no way to reset; its methods come back with a new look at the bus only."""
    function = f"/sys/bus/pci/devices/{address}"
    rig.on_box(f"echo > {function}/reset_method")
    try:
        yield
    finally:
        rig.on_box(f"echo 1 > {function}/remove; echo 1 > /sys/bus/pci/rescan")


@contextmanager
def on_vfio(rig: Rig, addresses: tuple[str, ...]) -> Iterator[None]:
    """Functions that somebody put on vfio-pci by hand; without an override, so that they are not taken for strays of ours."""
    take = "echo vfio-pci > $d/driver_override; echo {0} > $d/driver/unbind; echo {0} > /sys/bus/pci/drivers_probe"
    bind = take + "; echo > $d/driver_override"
    give_back = "echo > $d/driver_override; echo {0} > $d/driver/unbind; echo {0} > /sys/bus/pci/drivers_probe"
    _each(rig, addresses, "modprobe vfio-pci; " + bind)
    try:
        yield
    finally:
        _each(rig, addresses, give_back)


def _each(rig: Rig, addresses: tuple[str, ...], script: str) -> None:
    for address in addresses:
        rig.on_box(f"d=/sys/bus/pci/devices/{address}; {script.format(address)}")


def _qemu(address: str) -> str:
    return f"qemu-system-x86_64 -M q35 -accel kvm -m 64 -display none -nodefaults -S -device vfio-pci,host={address}"


@contextmanager
def second_qemu(rig: Rig, address: str) -> Iterator[None]:
    """A QEMU that libvirt knows nothing of and that has the device."""
    with running(rig, "stranger", _qemu(address)):
        holds = "ls -l /proc/$(pidof qemu-system-x86_64)/fd 2>/dev/null | grep -q vfio"
        rig.on_box(f"for n in $(seq 40); do {holds} && exit; sleep 0.5; done; exit 1")
        yield


def start_second_qemu(rig: Rig, address: str) -> str:
    """What QEMU says of a device that another one has."""
    return rig.on_box(f"timeout 60 {_qemu(address)} 2>&1 || true")


@contextmanager
def little_locked_memory(rig: Rig) -> Iterator[None]:
    """A libvirtd whose guests may lock 64 MiB and not more."""
    rig.on_box(f"mkdir -p $(dirname {DROP_IN}) && printf '{STINGY_LIBVIRTD}' > {DROP_IN}")
    _restart_libvirtd(rig)
    try:
        yield
    finally:
        rig.on_box(f"rm -f {DROP_IN}")
        _restart_libvirtd(rig)


def _restart_libvirtd(rig: Rig) -> None:
    rig.on_box("systemctl daemon-reload && systemctl restart libvirtd")
