"""Puts the real parts together: the one place that knows which driver serves which seam. Imports them only when asked to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from provisioner.drivers.guest.protocol import GuestDoor, Guests
from provisioner.drivers.hypervisor import Connector, Hypervisor
from provisioner.drivers.machine_cluster import MachineCluster, MachineClusterConnector
from provisioner.lifecycle.background import Threads
from provisioner.lifecycle.controller import Controller, Reconciler
from provisioner.lifecycle.fencing import FencedClusters, FencedConnector, FencedGuests
from provisioner.lifecycle.measures import Measures
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.progress import Observer, Silence
from provisioner.model.clock import Clock
from provisioner.model.cluster import SCHEME as CLUSTER
from provisioner.model.errors import Unsupported
from provisioner.model.guest_report import GuestReport
from provisioner.model.tables import Tables
from provisioner.store.classed import ClassedStore
from provisioner.store.fenced import Fence, FencedStore
from provisioner.store.protocol import Store

WORKERS = 12
SIMULATED = "simulated:"


class SchemeConnector:
    """Chooses the driver by the URI's scheme: `simulated://…` the twin, everything else libvirt."""

    def __init__(self) -> None:
        self._drivers: dict[str, Connector] = {}

    def connect(self, uri: str) -> Hypervisor:
        """As the chosen driver does. Raises Unsupported: it is a cluster, and no hypervisor."""
        if uri.startswith(CLUSTER):
            hint = "ask the cluster itself: virtctl console, virtctl vnc, kubectl describe vmi"
            raise Unsupported(f"{uri} is a KubeVirt cluster, and this is done through libvirt", hint=hint)
        return self._driver("simulated" if uri.startswith(SIMULATED) else "libvirt").connect(uri)

    def _driver(self, name: str) -> Connector:
        if name not in self._drivers:
            self._drivers[name] = _simulated() if name == "simulated" else _libvirt()
        return self._drivers[name]


class KubeVirtClusters:
    """Opens KubeVirt clusters; the driver is imported with the first of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._driver: MachineClusterConnector | None = None

    def connect(self, uri: str) -> MachineCluster:
        """As the driver does."""
        if self._driver is None:
            from provisioner.drivers.kubevirt.connector import KubeVirtConnector

            self._driver = KubeVirtConnector(clock=self._clock)
        return self._driver.connect(uri)


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
        clusters=KubeVirtClusters(clock),
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
    measures: Measures | None = None,
    class_name: str | None = None,
) -> Controller:
    """A controller over the real drivers; behind a fence, where another process may lead before this one knows.

    With a class, also the empty one, it acts on what is of that class only; None: there is nobody else.
    """
    ports = build_ports(store, cache_dir=cache_dir, tables=tables, observer=observer, time_scale=time_scale)
    ports = ports if fence is None else behind(ports, fence)
    return controller_of(ports, workers=workers, measures=measures, class_name=class_name)


def behind(ports: Ports, fence: Fence) -> Ports:
    """The same ports, through which nothing is changed unless the fence allows it at that moment."""
    store, connector = FencedStore(ports.store, fence), FencedConnector(ports.connector, fence)
    guests, clusters = FencedGuests(ports.guests, fence), FencedClusters(ports.clusters, fence)
    return replace(ports, store=store, connector=connector, guests=guests, clusters=clusters)


def controller_of(ports: Ports, *, workers: int, measures: Measures | None = None, class_name: str | None = None) -> Controller:
    """A controller with every reconciler, over any ports; of one class, if that is said."""
    from provisioner.lifecycle.gpu_claim.reconciler import GPUClaimReconciler
    from provisioner.lifecycle.gpu_hosts import GPUHostReconciler
    from provisioner.lifecycle.quotas import GPUQuotaReconciler
    from provisioner.lifecycle.serving import serving
    from provisioner.lifecycle.virtual_machine.reconciler import VirtualMachineReconciler
    from provisioner.lifecycle.vm_disks import VMDiskReconciler

    classes = ClassedStore(ports.store, class_name=class_name) if class_name is not None else None
    ports = replace(ports, store=classes) if classes is not None else ports
    reconcilers: tuple[Reconciler, ...] = (
        GPUHostReconciler(ports),
        VMDiskReconciler(ports),
        VirtualMachineReconciler(ports),
        GPUClaimReconciler(ports),
        GPUQuotaReconciler(ports),
    )
    if classes is not None:
        reconcilers = serving(reconcilers, ports, classes=classes)
    return Controller(ports, reconcilers, workers=workers, measures=measures)


def _libvirt() -> Connector:
    from provisioner.drivers.libvirt import LibvirtConnector

    return LibvirtConnector()


def _simulated() -> Connector:
    from provisioner.drivers.simulated import file_connector

    return file_connector()
