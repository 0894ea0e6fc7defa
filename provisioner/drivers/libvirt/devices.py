"""Host PCI functions and the drivers that they are bound to: from inside the host where a shell leads there.

    host driver ──override, unbind, probe──> vfio-pci ──override as it was, unbind, probe──> the driver that it had

libvirt's own detach does the same in a thread of libvirtd, under libvirtd's locks: an unbind that blocks in the kernel then
blocks libvirtd, first for that device and soon for others, and nobody can say who holds the device. From inside the host both
are known (templates/host/device.py), so libvirt's way is left for hosts where no program can be run (tcp, tls, no Python).
There the call has a time limit here, and the state of the function is unknown from then on.

A function that a running domain has is refused either way: its QEMU has the group open.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import libvirt

from provisioner.drivers.host_shell import shell_for, why_no_shell
from provisioner.drivers.host_shell.devices import ShellDevices
from provisioner.drivers.libvirt import nodedev
from provisioner.drivers.libvirt.connection import Connection
from provisioner.model.errors import DeviceBusy, HypervisorError, NotFound, Unsupported
from provisioner.model.examination import ScrubResult
from provisioner.model.pci import PciFunction

VFIO_DRIVER = "vfio-pci"
_SETTLE_S = 5.0
"""Drivers bind before the call returns, except those that probe in the background."""
_POLL_S = 0.05


class LibvirtDevices:
    """PCI functions of one host."""

    def __init__(self, connection: Connection) -> None:
        shell = shell_for(connection.uri)
        self._connection = connection
        self._nodes = NodeDevices(connection)
        self._inside = None if shell is None else ShellDevices(shell)

    def functions(self, addresses: Sequence[str]) -> tuple[PciFunction, ...]:
        """How these functions are now, in the order asked.

        Raises:
            NotFound: one of them is not there (fallen off the bus, removed).
        """
        return self._nodes.functions(addresses)

    def bind_vfio(self, address: str, *, timeout_s: float) -> None:
        """See the protocol. One that is on vfio-pci, or on a variant of it, is left as it is."""
        if self._inside is None or self._inside.bind_vfio(address, timeout_s=timeout_s) is None:
            self._nodes.bind_vfio(address, timeout_s=timeout_s)

    def restore(self, address: str, *, driver: str, override: str = "", timeout_s: float) -> None:
        """See the protocol; with an empty driver, whichever the kernel then chooses is accepted.

        Raises:
            HypervisorError: the kernel gave it to another driver, or to none (a module that is not loaded).
        """
        inside = self._inside
        if inside is None or inside.restore(address, driver=driver, override=override, timeout_s=timeout_s) is None:
            self._nodes.restore(address, driver=driver, timeout_s=timeout_s)

    def reset(self, address: str, *, timeout_s: float) -> str:
        """See the protocol."""
        method = None if self._inside is None else self._inside.reset(address, timeout_s=timeout_s)
        if method is not None:
            return method
        self._nodes.reset(address, timeout_s=timeout_s)
        return ""

    def scrub(self, address: str, *, command: str, timeout_s: float) -> ScrubResult:
        """See the protocol."""
        result = None if self._inside is None else self._inside.scrub(address, command=command, timeout_s=timeout_s)
        if result is None:
            why = why_no_shell(self._connection.uri) or "no program can be run there: no python3, no shell, or no permission"
            raise Unsupported(f"cannot scrub {address}", why=why, context={"address": address})
        return result


class NodeDevices:
    """The same through libvirt alone, which can neither say who holds a device nor how it is reset."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def functions(self, addresses: Sequence[str]) -> tuple[PciFunction, ...]:
        """How these functions are now, in the order asked."""
        what = f"cannot look at {', '.join(addresses)}"
        return self._connection.run(lambda raw: tuple(_look(_device(raw, one), one) for one in addresses), what=what)

    def bind_vfio(self, address: str, *, timeout_s: float) -> None:
        """Put the function on vfio-pci. One that is on vfio-pci, or on a variant of it, is left as it is."""

        def bind(raw: libvirt.virConnect) -> None:
            device = _device(raw, address)
            if is_vfio(_look(device, address).driver):
                return
            device.detachFlags("vfio", 0)
            driver = _settled(device, address, is_right=is_vfio)
            if not is_vfio(driver):
                why = f"it is on {driver or 'no driver'} after vfio-pci was asked for"
                raise DeviceBusy(f"cannot put {address} on {VFIO_DRIVER}", why=why)

        self._connection.run(bind, what=f"cannot put {address} on {VFIO_DRIVER}", timeout_s=timeout_s)

    def restore(self, address: str, *, driver: str, timeout_s: float) -> None:
        """Give the function back to `driver`; libvirt clears the override, whatever it was before."""
        if is_vfio(driver):
            self.bind_vfio(address, timeout_s=timeout_s)
            return
        what = f"cannot give {address} back to {driver or 'the host'}"

        def give_back(raw: libvirt.virConnect) -> None:
            device = _device(raw, address)
            if _look(device, address).driver == driver:
                return
            device.reAttach()
            now = _settled(device, address, is_right=lambda name: name == driver or (not driver and not is_vfio(name)))
            if is_vfio(now) or (driver and now != driver):
                raise HypervisorError(what, why=f"the kernel has it on {now or 'no driver'}", context={"driver": now})

        self._connection.run(give_back, what=what, timeout_s=timeout_s)

    def reset(self, address: str, *, timeout_s: float) -> None:
        """Reset a function that nobody uses.

        On vfio-pci libvirt answers with success and leaves the reset to vfio-pci, which resets whenever the function is opened
        and closed.
        """
        what = f"cannot reset {address}"
        self._connection.run(lambda raw: _device(raw, address).reset(), what=what, timeout_s=timeout_s)


def is_vfio(driver: str) -> bool:
    """Whether this driver is vfio-pci or one of its variants (`nvgrace_gpu_vfio_pci`)."""
    return driver.replace("_", "-").endswith(VFIO_DRIVER)


def _device(raw: libvirt.virConnect, address: str) -> libvirt.virNodeDevice:
    return raw.nodeDeviceLookupByName(nodedev.node_name(address))


def _look(device: libvirt.virNodeDevice, address: str) -> PciFunction:
    node = nodedev.parse(device.XMLDesc())
    if node is None:
        raise NotFound(f"{address} is no PCI function")
    return node.function


def _settled(device: libvirt.virNodeDevice, address: str, *, is_right: Callable[[str], bool]) -> str:
    """The driver once it is the right one, or the one that it has when the time is up."""
    deadline_s = time.monotonic() + _SETTLE_S
    pause = threading.Event()
    while not is_right(driver := _look(device, address).driver) and time.monotonic() < deadline_s:
        pause.wait(_POLL_S)
    return driver
