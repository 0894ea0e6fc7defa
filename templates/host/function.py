"""One PCI function that is to be acted on: what is in the way, and acts on it in children."""

from __future__ import annotations

import os
import time

from templates.host.guarding import HELPER, Failed, TimedOut, guarded
from templates.host.kernel_files import DEVICES, config_bytes, driver_of, is_alive, is_bridge, is_there, is_vfio, read
from templates.host.processes import LIBVIRT, Processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

VFIO = "vfio-pci"
SETTLE_S = 5.0
"""Some drivers bind in the background, and a device may be silent for seconds after a reset."""
POLL_S = 0.05


class Refused(Exception):
    """The answer is no; `answer` says why."""

    def __init__(self, outcome: str, why: str, **facts: Any) -> None:
        super().__init__(why)
        self.answer = {"outcome": outcome, "why": why, **facts}


class Device:
    """One function of the host, and the time that is left for it."""

    def __init__(self, address: str, *, limit_s: float, root: str) -> None:
        self.address = address
        self.root = root
        self.folder = f"{DEVICES}/{address}"
        self.deadline_s = time.monotonic() + limit_s
        self.processes = Processes(root)

    @property
    def driver(self) -> str:
        """The one that it is on now; empty if none."""
        return driver_of(self.root, self.address)

    def left_s(self) -> float:
        """Seconds that are left."""
        return max(0.1, self.deadline_s - time.monotonic())

    def guarded(self, work: Callable[[], Any], *, doing: str, limit_s: float = 0.0) -> Any:
        """What `work` returns, from a child."""
        try:
            return guarded(HELPER + self.address, work, limit_s=min(limit_s or self.left_s(), self.left_s()))
        except TimedOut:
            raise Refused("timed-out", f"{doing} does not return; it was left to itself on the host") from None
        except Failed as error:
            raise Refused("failed", f"{doing}: {error.text}") from None

    def write(self, name: str, text: str) -> None:
        """One write to one of its files, or to a file of the bus. For children only."""
        place = os.path.join(self.root, name if "/" in name else f"{self.folder}/{name}")
        descriptor = os.open(place, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def head(self) -> bytes:
        """The first bytes of its config space."""
        read_it = lambda: list(config_bytes(self.root, self.address, 0, 64))  # noqa: E731
        return bytes(self.guarded(read_it, doing="reading its config space"))

    def until(self, holds: Callable[[], bool]) -> bool:
        """Whether it holds within the time that things take to settle."""
        deadline_s = time.monotonic() + min(SETTLE_S, self.left_s() / 2)
        while not holds():
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(POLL_S)
        return True

    def refuse_absent(self) -> None:
        """It must be there."""
        if not is_there(self.root, self.address):
            raise Refused("not-found", f"the kernel knows no PCI function {self.address}")

    def refuse_two_at_once(self) -> None:
        """No earlier operation on it may be under way, or stuck."""
        helpers, stuck = self.processes.helpers.get(self.address, []), self.processes.stuck_helper(self.address)
        if helpers or stuck:
            why = f"an earlier operation on it (pid {stuck}) is stuck in the kernel" if stuck else "another one is under way"
            holders = [{"pid": pid, "command": HELPER + self.address, "path": ""} for pid in helpers or [stuck]]
            raise Refused("busy", why, holders=holders)

    def refuse_held(self) -> None:
        """Nobody may have it open; what libvirt's daemons keep open for a while they let go by themselves."""
        holders = [each for each in self.processes.holders(self.address) if each["command"] not in LIBVIRT]
        if holders:
            why = "; ".join(f"{each['command']} (pid {each['pid']}) has {each['path']} open" for each in holders)
            raise Refused("busy", why, holders=holders)

    def refuse_native(self) -> None:
        """No driver of the host's may have it."""
        if self.driver and not is_vfio(self.driver):
            raise Refused("busy", f"the host's driver {self.driver} has it; put it on {VFIO} first", holders=[])

    def refuse_dead_or_bridge(self) -> None:
        """Config space must answer, and say that it is an endpoint."""
        head = self.head()
        if is_alive(head) is False:
            raise Refused("failed", "its config space reads as all ones: it has fallen off the bus")
        if is_bridge(head, read(self.root, f"{self.folder}/class")[2:]):
            raise Refused("failed", "it is a bridge, and no endpoint")
