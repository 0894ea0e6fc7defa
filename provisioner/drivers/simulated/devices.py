"""Simulated PCI functions and the drivers that they are on, with libvirt's refusals and the kernel's."""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.drivers.simulated.link import Link
from provisioner.drivers.simulated.starting import VFIO
from provisioner.drivers.simulated.state import FunctionState, HostState
from provisioner.model.errors import DeviceBusy, HostTimeout, HypervisorError, NotFound
from provisioner.model.pci import PciFunction


class SimulatedDevices:
    """See drivers.hypervisor.Devices."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def functions(self, addresses: Sequence[str]) -> tuple[PciFunction, ...]:
        """See the protocol."""
        with self._link.call("devices.functions", subject=",".join(addresses)) as state:
            return tuple(_present(state, address).seen() for address in addresses)

    def bind_vfio(self, address: str, *, timeout_s: float) -> None:
        """See the protocol."""
        with self._link.call("devices.bind_vfio", subject=address, limit_s=timeout_s) as state:
            blocks = _move(state, _present(state, address), driver=VFIO)
        if blocks:
            raise self._blocked("devices.bind_vfio", timeout_s=timeout_s)

    def restore(self, address: str, *, driver: str, timeout_s: float) -> None:
        """See the protocol."""
        with self._link.call("devices.restore", subject=address, limit_s=timeout_s) as state:
            blocks = _move(state, _present(state, address), driver=driver)
        if blocks:
            raise self._blocked("devices.restore", timeout_s=timeout_s)

    def reset(self, address: str, *, timeout_s: float) -> None:
        """See the protocol."""
        with self._link.call("devices.reset", subject=address, limit_s=timeout_s) as state:
            _refuse_active(state, _present(state, address), doing="reset")

    def _blocked(self, call: str, *, timeout_s: float) -> HostTimeout:
        """Writing to `unbind` of a device that somebody has open does not return."""
        self._link.host.spend(timeout_s)
        return self._link.host.timeout(call, limit_s=timeout_s)


def _present(state: HostState, address: str) -> FunctionState:
    function = state.functions.get(address)
    if function is None or not function.is_present:
        raise NotFound(f"There is no PCI function {address} on {state.name}", context={"address": address})
    return function


def _refuse_active(state: HostState, function: FunctionState, *, doing: str) -> None:
    user = state.user_of(function.address)
    if user:
        raise DeviceBusy(
            f"{function.address} cannot be {doing}",
            why=f"Requested operation is not valid: PCI device {function.address} is in use by driver QEMU, domain {user}",
            context={"address": function.address, "domain": user},
        )


def _move(state: HostState, function: FunctionState, *, driver: str) -> bool:
    """Put the function on `driver`; True if that blocks because a process has it open. What is already so is success."""
    if driver == function.driver:
        return False
    _refuse_active(state, function, doing=f"put on {driver or 'no driver'}")
    if driver == VFIO and function.is_bridge:
        raise HypervisorError(f"{function.address} cannot be put on {VFIO}", why="it is a bridge, and no endpoint")
    if function.holder:
        return True
    if driver == VFIO:
        function.driver = VFIO
    else:
        _give_back(state, function, driver=driver)
    return False


def _give_back(state: HostState, function: FunctionState, *, driver: str) -> None:
    wanted = function.native_driver
    if driver not in {"", wanted}:
        raise HypervisorError(
            f"{function.address} cannot be given back to {driver}",
            why=f"the kernel chooses {wanted or 'no driver'} for it",
            context={"address": function.address, "driver": wanted},
        )
    _refuse_owned_group(state, function)
    function.probe()


def _refuse_owned_group(state: HostState, function: FunctionState) -> None:
    """A group that a guest has open is VFIO's: the kernel lets no native driver in."""
    for member in state.group_of(function):
        user = state.user_of(member.address)
        if user and function.native_driver:
            raise DeviceBusy(
                f"{function.address} cannot be given back to the host",
                why=f"group {function.iommu_group} is in use: {member.address} is in domain {user}",
                context={"address": function.address, "domain": user},
            )
