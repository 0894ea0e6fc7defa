"""Host PCI functions and the drivers that they are bound to, through libvirt's node devices.

    host driver ──detachFlags──> vfio-pci ──reAttach──> whichever driver the kernel probes for it

The driver's name is read afresh by libvirtd on every look. A function whose unbinding blocks in the kernel blocks a thread of
libvirtd, not us: the call has a time limit, and its state is unknown from then on. libvirt refuses to touch a function that a
running domain has; it knows nothing of other users.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import libvirt

from provisioner.drivers.libvirt import nodedev
from provisioner.drivers.libvirt.connection import Connection
from provisioner.model.errors import DeviceBusy, HypervisorError, NotFound
from provisioner.model.pci import PciFunction

VFIO_DRIVER = "vfio-pci"
_SETTLE_S = 5.0
"""Drivers bind before the call returns, except those that probe in the background."""
_POLL_S = 0.05


class LibvirtDevices:
    """PCI functions of one host."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def functions(self, addresses: Sequence[str]) -> tuple[PciFunction, ...]:
        """How these functions are now, in the order asked.

        Raises:
            NotFound: one of them is not there (fallen off the bus, removed).
        """
        what = f"cannot look at {', '.join(addresses)}"
        return self._connection.run(lambda raw: tuple(_look(_device(raw, one), one) for one in addresses), what=what)

    def bind_vfio(self, address: str, *, timeout_s: float) -> None:
        """Put the function on vfio-pci. One that is on vfio-pci, or on a variant of it, is left as it is.

        Raises:
            DeviceBusy: something holds it.
            HostTimeout: it did not return in time; the driver's state is then unknown.
        """

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
        """Give the function back to `driver`; with an empty one, whichever driver the kernel then chooses is accepted.

        Raises:
            HypervisorError: the kernel gave it to another driver, or to none (a module that is not loaded).
            DeviceBusy, HostTimeout: as for `bind_vfio`.
        """
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

        Raises:
            DeviceBusy, HostTimeout: as for `bind_vfio`.
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
