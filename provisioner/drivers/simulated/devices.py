"""Simulated PCI functions and the drivers that they are on, with the refusals of the kernel and of whoever acts there for us.

Where a shell leads to the host, whoever holds a device is seen before anything is touched (DeviceBusy). Where none does, there
is libvirt alone: an unbind of a held device blocks (HostTimeout), nothing is known of a reset, and no command can run.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.drivers.simulated.examining import STUCK_PID, holders_of, stuck_helper
from provisioner.drivers.simulated.function_state import FunctionState
from provisioner.drivers.simulated.inside import ScrubRun
from provisioner.drivers.simulated.link import Link
from provisioner.drivers.simulated.starting import VFIO
from provisioner.drivers.simulated.state import HostState
from provisioner.model.errors import DeviceBusy, HostTimeout, HypervisorError, NotFound, Unsupported
from provisioner.model.examination import ScrubResult
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
        """See the protocol. One that is there already is left as it is, its override too."""
        with self._link.call("devices.bind_vfio", subject=address, limit_s=timeout_s) as state:
            function = _present(state, address)
            blocks = function.driver != VFIO and _move(state, function, driver=VFIO, override=VFIO)
        if blocks:
            raise self._blocked("devices.bind_vfio", timeout_s=timeout_s)

    def restore(self, address: str, *, driver: str, override: str = "", timeout_s: float) -> None:
        """See the protocol."""
        with self._link.call("devices.restore", subject=address, limit_s=timeout_s) as state:
            blocks = _move(state, _present(state, address), driver=driver, override=override)
        if blocks:
            raise self._blocked("devices.restore", timeout_s=timeout_s)

    def reset(self, address: str, *, timeout_s: float) -> str:
        """See the protocol."""
        with self._link.call("devices.reset", subject=address, limit_s=timeout_s) as state:
            function = _present(state, address)
            _refuse_used(state, function, doing="reset")
            if state.inside.why_not:
                return ""
            _refuse_reset(function)
            return function.note_reset(self._link.host.world.clock.now_s())

    def scrub(self, address: str, *, command: str, timeout_s: float) -> ScrubResult:
        """See the protocol. Takes as long as the host was told to let it take."""
        with self._link.call("devices.scrub", subject=address, limit_s=timeout_s) as state:
            function, inside = _present(state, address), state.inside
            if inside.why_not:
                raise Unsupported(f"No command can be run on {state.name}", why=inside.why_not)
            _refuse_used(state, function, doing="scrubbed")
            done = command.replace("{address}", address)
            inside.note_scrub(ScrubRun(self._link.host.world.clock.now_s(), address, done, inside.scrub_status))
            result = ScrubResult(
                exit_status=inside.scrub_status, output_tail=inside.scrub_output, duration_s=inside.scrub_takes_s
            )
        self._link.host.spend(min(result.duration_s, timeout_s))
        if result.duration_s > timeout_s:
            raise self._link.host.timeout("devices.scrub", limit_s=timeout_s)
        return result

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


def _refuse_stuck(state: HostState, function: FunctionState, *, doing: str) -> None:
    """What an earlier operation hangs over is not touched, where that can be seen."""
    if function.is_stuck and not state.inside.why_not:
        raise DeviceBusy(
            f"{function.address} cannot be {doing}",
            why=f"an earlier operation on it (pid {STUCK_PID}) is stuck in the kernel",
            context={"address": function.address, "holders": [stuck_helper(function).as_json()]},
        )


def _refuse_held(state: HostState, function: FunctionState, *, doing: str) -> None:
    """Nor is what somebody has open, where that can be seen."""
    _refuse_stuck(state, function, doing=doing)
    holders = [] if state.inside.why_not else list(holders_of(state, function))
    if holders:
        raise DeviceBusy(
            f"{function.address} cannot be {doing}",
            why="; ".join(f"{holder.command} (pid {holder.pid}) has {holder.path} open" for holder in holders),
            context={"address": function.address, "holders": [holder.as_json() for holder in holders]},
        )


def _refuse_used(state: HostState, function: FunctionState, *, doing: str) -> None:
    """For what must never happen to a function that somebody uses, or that a driver of the host's has."""
    _refuse_active(state, function, doing=doing)
    _refuse_held(state, function, doing=doing)
    if function.driver not in {"", VFIO} and not state.inside.why_not:
        raise DeviceBusy(
            f"{function.address} cannot be {doing}",
            why=f"the host's driver {function.driver} has it; put it on {VFIO} first",
            context={"address": function.address, "driver": function.driver},
        )


def _refuse_reset(function: FunctionState) -> None:
    what = f"{function.address} cannot be reset"
    if not function.config_alive:
        raise HypervisorError(what, why="its config space reads as all ones: it has fallen off the bus")
    if not function.reset_methods:
        raise Unsupported(what, why="the kernel has no method to reset it")
    if function.reset_failure:
        raise HypervisorError(what, why=function.reset_failure, context={"method": function.reset_methods[0]})


def _move(state: HostState, function: FunctionState, *, driver: str, override: str) -> bool:
    """Put the function on `driver`; True if that blocks because a process has it open. What is already so is success."""
    doing = f"put on {driver or 'no driver'}"
    _refuse_stuck(state, function, doing=doing)
    if driver == function.driver:
        function.driver_override = override
        return False
    _refuse_active(state, function, doing=doing)
    if driver == VFIO and function.is_bridge:
        raise HypervisorError(f"{function.address} cannot be put on {VFIO}", why="it is a bridge, and no endpoint")
    if driver == VFIO and not function.config_alive:
        why = "its config space reads as all ones: it has fallen off the bus"
        raise HypervisorError(f"{function.address} cannot be put on {VFIO}", why=why)
    _refuse_held(state, function, doing=doing)
    if function.holder or function.unbind_blocks:
        _get_stuck(state, function)
        return True
    if driver == VFIO:
        function.driver = VFIO
    else:
        _give_back(state, function, driver=driver)
    function.driver_override = override
    return False


def _get_stuck(state: HostState, function: FunctionState) -> None:
    """What was to unbind it hangs in the kernel; the link to the driver is gone before that."""
    if not state.inside.why_not:
        function.has_stuck_helper = True
        function.driver = ""


def _give_back(state: HostState, function: FunctionState, *, driver: str) -> None:
    wanted = function.native_driver
    if driver not in {"", wanted}:
        raise HypervisorError(
            f"{function.address} cannot be given back to {driver}",
            why=f"the kernel chooses {wanted or 'no driver'} for it",
            context={"address": function.address, "driver": wanted},
        )
    _refuse_owned_group(state, function)
    function.driver_override = ""
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
