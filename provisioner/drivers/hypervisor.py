"""The seam to a hypervisor: what a VM's life needs of one host, and nothing of how it is done.

Small protocols (inventory, volumes, devices, domains, networks) under one connection. Every implementation passes
tests/contract/test_hypervisor.py. Every call is safe to repeat: what is already so is success. No call waits for a guest;
whatever takes long is asked about again later. Errors, anywhere: HostUnreachable, HostTimeout, HypervisorError.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from provisioner.drivers.host_events import Listener
from provisioner.drivers.networks import Networks
from provisioner.drivers.records import Records
from provisioner.drivers.volumes import Volumes
from provisioner.model.examination import HostExamination, ScrubResult
from provisioner.model.gpu_host import GPUHostStatus, GpuRule, KvmVerdict
from provisioner.model.pci import PciFunction


class DomainState(enum.StrEnum):
    """What a domain is doing, as far as a VM's life cares."""

    ABSENT = "absent"
    OFF = "off"
    RUNNING = "running"
    CRASHED = "crashed"
    """Off, and not because anybody asked: QEMU died or the guest panicked. A reset that means destroy ends as OFF."""


@dataclass(frozen=True, slots=True)
class Domain:
    """One of our domains, recognised by the mark in its metadata, never by its name."""

    name: str
    uuid: str
    state: DomainState
    owner_uid: str
    """The uid of the resource that it was made for."""
    functions: tuple[str, ...] = ()
    """PCI addresses on the host that it has or would have when running."""


class Inventory(Protocol):
    """What the host has."""

    def survey(self, rules: Sequence[GpuRule]) -> GPUHostStatus:
        """Everything of the status but `kvm`, `quarantined` and `conditions`; `name` of each GPU is its `vendor:device`.

        The caller names the GPUs by its catalogue. Starts nothing on the host.
        """
        ...

    def examine(self, addresses: Sequence[str], *, timeout_s: float) -> HostExamination:
        """The host from inside, with these functions and every member of their groups; one that is not there is left out.

        A host that can only be reached through libvirt gives an examination without a source that says why. Changes nothing.
        """
        ...

    def prove_kvm(self, *, timeout_s: float) -> KvmVerdict:
        """Start a tiny guest under KVM and see whether it runs; leaves nothing behind. Takes up to `timeout_s`."""
        ...


class Devices(Protocol):
    """Host PCI functions and their drivers. What may block in the kernel does so in a process of the host's, never in ours."""

    def functions(self, addresses: Sequence[str]) -> tuple[PciFunction, ...]:
        """How these functions are now, in the order asked.

        Raises:
            NotFound: one of them is not there (fallen off the bus, removed).
        """
        ...

    def bind_vfio(self, address: str, *, timeout_s: float) -> None:
        """Put the function on vfio-pci.

        Raises:
            NotFound: it is not there.
            DeviceBusy: something holds it.
            HostTimeout: it did not return in time; the driver's state is then unknown.
        """
        ...

    def restore(self, address: str, *, driver: str, override: str = "", timeout_s: float) -> None:
        """Give the function back to `driver` (empty: to none or whichever the kernel chooses), with that driver_override.

        Raises as `bind_vfio`.
        """
        ...

    def reset(self, address: str, *, timeout_s: float) -> str:
        """Reset a function that nobody uses, neither a process nor a driver of the host's, and see that it answers afterwards.

        Where it can only be reset with its bus, every function of its group must be on vfio-pci; they are reset with it.

        Returns the kernel's name of the method; empty where the host could not be asked and vfio-pci resets it by itself.

        Raises:
            Unsupported: it has no reset method.
            HypervisorError: the reset failed, or the device did not come back from it.
            NotFound, DeviceBusy, HostTimeout: as `bind_vfio`.
        """
        ...

    def scrub(self, address: str, *, command: str, timeout_s: float) -> ScrubResult:
        """Run the operator's command on the host, `{address}` in it replaced; it may fail, and its result says so.

        Raises:
            Unsupported: no command can be run on that host.
            NotFound, DeviceBusy: as `reset`.
            HostTimeout: it did not end in time and was killed.
        """
        ...


class Domains(Protocol):
    """Virtual machines of the host."""

    def define(self, xml: str) -> Domain:
        """Define or redefine a domain from XML that is checked against libvirt's schema. Does not start it.

        Raises:
            InvalidInput: the XML is refused.
        """
        ...

    def start(self, name: str, *, timeout_s: float) -> None:
        """Start it; a running one is success. Pins guest memory when devices are passed, so it can take minutes.

        Raises:
            NotFound: not defined.
            DeviceBusy: a passed device is in use or not on vfio-pci.
            HostTimeout: it did not return in time; it may still start.
        """
        ...

    def shutdown(self, name: str) -> None:
        """Ask the guest to power off; returns at once. Nothing to do for an absent or stopped one."""
        ...

    def destroy(self, name: str, *, timeout_s: float) -> None:
        """Stop it hard. Nothing to do for an absent or stopped one."""
        ...

    def undefine(self, name: str) -> None:
        """Remove the definition, with its firmware variables. Refused by the hypervisor while it runs; absent is success."""
        ...

    def look(self, name: str) -> Domain | None:
        """The domain as it is now, or None if there is none of that name."""
        ...

    def owned(self) -> tuple[Domain, ...]:
        """Every domain that bears our mark."""
        ...

    def eject(self, name: str, target: str) -> None:
        """Empty the CD-ROM `target` (`sda`) of the running domain and of its definition. An empty one is success."""
        ...

    def addresses(self, name: str, *, mac_address: str) -> tuple[str, ...]:
        """IPv4 addresses of that interface, best source first (lease, agent, ARP); loopback and link-local left out."""
        ...


class ConsoleSession(Protocol):
    """One end of a running domain's serial line; one at a time per domain. One thread may read while another writes.

    Errors, from `read` and `write`:
        NotFound: the domain has stopped.
        Conflict: somebody else took the console over by force.
        HostUnreachable: the connection broke, or the session was closed.
    """

    def read(self, *, timeout_s: float) -> bytes:
        """What the guest sends, as soon as there is anything; empty if there was nothing within `timeout_s`."""
        ...

    def write(self, data: bytes) -> None:
        """Send all of it, no faster than a serial line does. A guest need not read; then this may end in HostTimeout."""
        ...

    def close(self) -> None:
        """Let the console go, for others to attach. Idempotent; raises nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class Console(Protocol):
    """The serial console of a domain."""

    def tail(self, name: str, *, limit_bytes: int) -> str:
        """The last bytes of what the guest printed since its last start; empty if nothing is kept."""
        ...

    def attach(self, name: str, *, force: bool = False) -> ConsoleSession:
        """Take the console of a running domain; what was printed before is not repeated.

        Args:
            name: the domain.
            force: whoever is attached loses it.

        Raises:
            NotFound: no such domain, it does not run, or it has no serial port.
            Conflict: somebody is attached.
        """
        ...


class Hypervisor(Protocol):
    """One open connection to one host; safe to use from several threads."""

    @property
    def inventory(self) -> Inventory:
        """What the host has."""
        ...

    @property
    def volumes(self) -> Volumes:
        """Its storage."""
        ...

    @property
    def devices(self) -> Devices:
        """Its PCI functions."""
        ...

    @property
    def domains(self) -> Domains:
        """Its virtual machines."""
        ...

    @property
    def networks(self) -> Networks:
        """Its networks."""
        ...

    @property
    def console(self) -> Console:
        """What guests print."""
        ...

    @property
    def records(self) -> Records:
        """What is written on its domains about their VMs."""
        ...

    def subscribe(self, listener: Listener) -> None:
        """Tell the listener what the host tells by itself, from now on and until the connection ends; host_events.py says what.

        What happened a moment before may be told as well. A listener that is subscribed already (also through an earlier
        caller's share of the connection) is told once. A new connection knows nothing of it: after connection-lost, subscribe
        again.
        """
        ...

    def close(self) -> None:
        """Give up this caller's share of the connection. Idempotent; whoever else has one, or will, is not concerned."""
        ...


class Connector(Protocol):
    """Opens hypervisors."""

    def connect(self, uri: str) -> Hypervisor:
        """An open connection to that host, shared with earlier callers while it is alive.

        Raises:
            InvalidInput: the URI cannot be understood.
            HostUnreachable: nobody answers.
            NotAllowed: the host refuses our credentials.
        """
        ...
