"""One host behind libvirt: the parts of the seam and the console over one shared connection."""

from __future__ import annotations

from collections.abc import Callable

from provisioner.drivers.host_events import Listener
from provisioner.drivers.host_shell.opening import shell_for, why_no_shell
from provisioner.drivers.libvirt.connection import Connection
from provisioner.drivers.libvirt.console import LibvirtConsole
from provisioner.drivers.libvirt.devices import LibvirtDevices
from provisioner.drivers.libvirt.domains import LibvirtDomains
from provisioner.drivers.libvirt.inventory import LibvirtInventory
from provisioner.drivers.libvirt.networks import LibvirtNetworks
from provisioner.drivers.libvirt.records import LibvirtRecords
from provisioner.drivers.libvirt.volumes import LibvirtVolumes


class LibvirtHypervisor:
    """One caller's share of a connection to one host; safe to use from several threads."""

    def __init__(self, connection: Connection, *, another: Callable[[], Connection], on_close: Callable[[], None]) -> None:
        self.inventory = LibvirtInventory(connection)
        self.volumes = LibvirtVolumes(connection)
        self.devices = LibvirtDevices(connection)
        self.domains = LibvirtDomains(connection)
        self.networks = LibvirtNetworks(connection, shell=shell_for(connection.uri), why_no_shell=why_no_shell(connection.uri))
        self.console = LibvirtConsole(connection, another=another)
        self.records = LibvirtRecords(connection)
        self._connection = connection
        self._on_close: Callable[[], None] | None = on_close

    def subscribe(self, listener: Listener) -> None:
        """See the protocol. The subscription is the shared connection's: it outlives this share."""
        self._connection.subscribe(listener)

    def close(self) -> None:
        """Give this share up. Idempotent; the connection itself stays open for others, and for a while for later callers."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()
