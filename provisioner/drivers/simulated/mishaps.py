"""What may befall the devices of a simulated host from outside, by name; each is the world's doing and no call.

Whatever has no name here is a field of the state: `with host.peek() as state: state.inside.interrupt_remapping = False`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

from provisioner.drivers.simulated.function_state import FunctionState
from provisioner.drivers.simulated.state import HostState
from provisioner.model.errors import NotFound


class Mishaps(ABC):
    """The part of a host's handle that breaks its devices, and mends them."""

    @abstractmethod
    def peek(self) -> AbstractContextManager[HostState]:
        """The state as it is now."""

    def lose(self, address: str) -> None:
        """The function is removed from the bus."""
        with self.peek() as state:
            function_of(state, address).is_present = False

    def bring_back(self, address: str) -> None:
        """The function is there again and well, on the driver that the kernel chooses."""
        with self.peek() as state:
            function = function_of(state, address)
            function.is_present = function.config_alive = True
            function.driver_override = ""
            function.probe()

    def die(self, address: str) -> None:
        """The device falls off the bus: its files stay, and its config space reads as all ones."""
        with self.peek() as state:
            function_of(state, address).config_alive = False

    def swap(self, address: str, *, device: str = "", subsystem_device: str = "") -> None:
        """Another card is in this slot from now on: another serial, and another device or subsystem if they are given."""
        with self.peek() as state:
            function = function_of(state, address)
            function.serial = "-".join(reversed(function.serial.split("-"))) if function.serial else ""
            function.device = device or function.device
            function.subsystem_device = subsystem_device or function.subsystem_device

    def hold(self, address: str, *, by: str) -> None:
        """A process outside libvirt opens the device, `python3 (pid 4711)` (`by` empty: lets go); unbinding it then blocks."""
        with self.peek() as state:
            function_of(state, address).holder = by

    def sicken(self, address: str, *, xid: int) -> None:
        """The driver of every guest that gets this GPU writes this Xid into its kernel log (0: no more)."""
        with self.peek() as state:
            function_of(state, address).xid = xid

    def block_unbind(self, address: str, *, blocks: bool = True) -> None:
        """The driver of the device does not let go, and nobody is seen to hold it; in the end it does, and has let it go."""
        with self.peek() as state:
            function = function_of(state, address)
            function.unbind_blocks, function.has_stuck_helper = blocks, False

    def fail_resets(self, address: str, *, why: str = "not ready 65535ms after FLR; giving up") -> None:
        """Resets of the function fail with these words of the kernel's (`why` empty: they go well again)."""
        with self.peek() as state:
            function_of(state, address).reset_failure = why

    def set_reset_methods(self, address: str, *methods: str) -> None:
        """The function can be reset in these ways only; without any, not at all."""
        with self.peek() as state:
            function_of(state, address).reset_methods = methods

    def end_scrubs(self, *, status: int, output: str = "", takes_s: float = 5.0) -> None:
        """From now on the operator's scrub command ends like this."""
        with self.peek() as state:
            inside = state.inside
            inside.scrub_status, inside.scrub_output, inside.scrub_takes_s = status, output, takes_s

    def forbid_examination(self, why: str = "ssh: connect to host port 22: Connection refused") -> None:
        """No shell leads there any more (`why` empty: one does again)."""
        with self.peek() as state:
            state.inside.why_not = why


def function_of(state: HostState, address: str) -> FunctionState:
    """The function at this address, present or not.

    Raises:
        NotFound: there never was one.
    """
    if address not in state.functions:
        raise NotFound(f"{state.name} never had a function {address}")
    return state.functions[address]
