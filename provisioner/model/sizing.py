"""How large a guest is: its instance type, with explicit resources over it, field by field."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.model.errors import InvalidInput
from provisioner.model.quantities import mib_of
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import VirtualMachineSpec


@dataclass(frozen=True, slots=True)
class GuestSize:
    """CPU topology and memory of one guest."""

    sockets: int
    cores_per_socket: int
    memory_mib: int

    @property
    def vcpus(self) -> int:
        """Virtual CPUs in all."""
        return self.sockets * self.cores_per_socket


def guest_size(spec: VirtualMachineSpec, tables: Tables) -> GuestSize:
    """The size that a spec asks for.

    `resources.cpu` counts the cores of one socket. `resources.sockets` alone spreads the instance type's vCPUs over sockets.

    Raises:
        InvalidInput: the instance type is unknown, something is said by neither, or the vCPUs do not divide by the sockets.
    """
    given = spec.resources
    known = tables.instance_types.get(spec.instance_type)
    if spec.instance_type and known is None:
        raise InvalidInput(
            f"The instance type {spec.instance_type} is not known", context={"allowed": sorted(tables.instance_types)}
        )
    missing = [name for name in ("cpu", "memory") if known is None and getattr(given, name) is None]
    if missing:
        raise InvalidInput(
            "The size of the VM is not said", why=f"without an instanceType, resources.{' and .'.join(missing)} must be given"
        )
    memory_mib = mib_of(given.memory) if given.memory is not None else known.memory_mib if known else 0
    sockets = given.sockets or 1
    if given.cpu is not None:
        return GuestSize(sockets, given.cpu, memory_mib)
    vcpus = known.vcpus if known else 0
    if vcpus % sockets:
        raise InvalidInput(
            f"{vcpus} vCPUs of {spec.instance_type} do not divide by {sockets} sockets", hint="give resources.cpu too"
        )
    return GuestSize(sockets, vcpus // sockets, memory_mib)
