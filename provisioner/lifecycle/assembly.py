"""Puts the real parts together: the one place that knows which driver serves which seam. Imports them only when asked to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from provisioner.drivers.guest.protocol import GuestDoor, Guests
from provisioner.drivers.hypervisor import Connector, Hypervisor
from provisioner.lifecycle.background import Threads
from provisioner.lifecycle.controller import Controller
from provisioner.lifecycle.fencing import FencedConnector, FencedGuests
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.progress import Observer, Silence
from provisioner.model.guest_report import GuestReport
from provisioner.model.tables import Tables
from provisioner.store.fenced import Fence, FencedStore
from provisioner.store.protocol import Store

WORKERS = 12
SIMULATED = "simulated:"


class SchemeConnector:
    """Chooses the driver by the URI's scheme: `simulated://…` the twin, everything else libvirt."""

    def __init__(self) -> None:
        self._drivers: dict[str, Connector] = {}

    def connect(self, uri: str) -> Hypervisor:
        """As the chosen driver does."""
        return self._driver("simulated" if uri.startswith(SIMULATED) else "libvirt").connect(uri)

    def _driver(self, name: str) -> Connector:
        if name not in self._drivers:
            self._drivers[name] = _simulated() if name == "simulated" else _libvirt()
        return self._drivers[name]


class SchemeGuests:
    """Guests of simulated hosts answer in the simulation, all others over SSH."""

    def report(self, door: GuestDoor, *, timeout_s: float) -> GuestReport:
        """As the chosen driver does."""
        return self._driver(door).report(door, timeout_s=timeout_s)

    def hand_over(self, door: GuestDoor, *, timeout_s: float) -> None:
        """As the chosen driver does."""
        self._driver(door).hand_over(door, timeout_s=timeout_s)

    def _driver(self, door: GuestDoor) -> Guests:
        if door.host_uri.startswith(SIMULATED):
            from provisioner.drivers.simulated import file_guests

            return file_guests()
        from provisioner.drivers.guest.ssh import SshGuests

        return SshGuests()


def build_ports(
    store: Store, *, cache_dir: Path, tables: Tables, observer: Observer | None = None, time_scale: float = 1.0
) -> Ports:
    """All seams with their real implementations."""
    from provisioner.clocks import SystemClock, SystemIdentifiers
    from provisioner.drivers.images.cache import ImageCache

    clock = SystemClock()
    return Ports(
        store=store,
        connector=SchemeConnector(),
        guests=SchemeGuests(),
        images=ImageCache(cache_dir / "images", clock=clock),
        clock=clock,
        identifiers=SystemIdentifiers(),
        tables=tables,
        background=Threads(),
        observer=observer or Silence(),
        time_scale=time_scale,
    )


def build_controller(
    store: Store,
    *,
    cache_dir: Path,
    tables: Tables,
    observer: Observer | None = None,
    workers: int = WORKERS,
    time_scale: float = 1.0,
    fence: Fence | None = None,
) -> Controller:
    """A controller over the real drivers; behind a fence, where another process may lead before this one knows."""
    ports = build_ports(store, cache_dir=cache_dir, tables=tables, observer=observer, time_scale=time_scale)
    return controller_of(ports if fence is None else behind(ports, fence), workers=workers)


def behind(ports: Ports, fence: Fence) -> Ports:
    """The same ports, through which nothing is changed unless the fence allows it at that moment."""
    store, connector = FencedStore(ports.store, fence), FencedConnector(ports.connector, fence)
    return replace(ports, store=store, connector=connector, guests=FencedGuests(ports.guests, fence))


def controller_of(ports: Ports, *, workers: int) -> Controller:
    """A controller with every reconciler, over any ports."""
    from provisioner.lifecycle.gpu_claim.reconciler import GPUClaimReconciler
    from provisioner.lifecycle.gpu_hosts import GPUHostReconciler
    from provisioner.lifecycle.virtual_machine.reconciler import VirtualMachineReconciler
    from provisioner.lifecycle.vm_disks import VMDiskReconciler

    reconcilers = (
        GPUHostReconciler(ports),
        VMDiskReconciler(ports),
        VirtualMachineReconciler(ports),
        GPUClaimReconciler(ports),
    )
    return Controller(ports, reconcilers, workers=workers)


def _libvirt() -> Connector:
    from provisioner.drivers.libvirt import LibvirtConnector

    return LibvirtConnector()


def _simulated() -> Connector:
    from provisioner.drivers.simulated import file_connector

    return file_connector()
