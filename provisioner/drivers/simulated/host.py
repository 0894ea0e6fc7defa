"""One simulated host: the way that every call takes, and what may befall the host from outside.

A call is logged, may meet a staged fault, takes its time by the clock, and only then sees and changes the state, alone. The
methods that are no calls (`kill_qemu`, `fill_pool`, those of `mishaps`) are the world's doing: no log, no fault, no time.
Whoever watches the host is told what changed when the state is closed again, or that the connection is lost when a call got no
answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

from provisioner.drivers.host_events import HostEvent
from provisioner.drivers.hypervisor import DomainState
from provisioner.drivers.simulated import booting
from provisioner.drivers.simulated.faults import Call, Fault
from provisioner.drivers.simulated.mishaps import Mishaps
from provisioner.drivers.simulated.state import DomainRecord, GuestBehaviour, HostState
from provisioner.drivers.simulated.storage import Storage
from provisioner.drivers.simulated.watchers import Watchers
from provisioner.drivers.simulated.world import World
from provisioner.model.errors import HikubeError, HostTimeout, HostUnreachable, NotFound

DEFAULT_LIMIT_S = 30.0
"""How long a call without a limit of its own waits for a host that hangs."""
_BESIDE_LIBVIRT = (
    *(f"devices.{name}" for name in ("bind_vfio", "restore", "reset", "scrub")),
    *(f"networks.{name}" for name in ("publish", "withdraw", "filters_bridges")),
    *("inventory.examine", "guests."),
)
"""What begins with these takes another way than libvirt's connection, and tells nothing of it when it fails."""


class SimulatedHost(Mishaps):
    """A handle on one host, for its drivers and for tests."""

    def __init__(self, name: str, *, uri: str, storage: Storage, world: World) -> None:
        self.name = name
        self.uri = uri
        self.world = world
        self.watchers = Watchers()
        self._storage = storage

    @contextmanager
    def call(self, name: str, *, subject: str = "", limit_s: float = DEFAULT_LIMIT_S) -> Iterator[HostState]:
        """One call of a driver: the state, to be read and changed inside the block.

        Raises:
            HostUnreachable: the host is down.
            HostTimeout: it hangs, or the call takes longer than `limit_s`; in the latter case it takes effect.
        """
        record = self.world.calls.add(Call(self.name, name, subject, self.world.clock.monotonic_s()))
        try:
            with self._answered(record, limit_s=limit_s) as state:
                yield state
        except HikubeError as error:
            record.error = type(error).__name__
            if isinstance(error, HostUnreachable) and not name.startswith(_BESIDE_LIBVIRT):
                self.watchers.lose(str(error))
            raise

    @contextmanager
    def _answered(self, record: Call, *, limit_s: float) -> Iterator[HostState]:
        name = record.name
        fault = self.world.faults.take(host=self.name, call=name, subject=record.subject)
        self._fail_before(fault)
        takes_s = self.world.timing.calls.get(name, 0.0)
        self.spend(min(takes_s, limit_s))
        with self._open() as state:
            link = state.link
            if link == "up":
                state.settle(self.world.clock.now_s())
                yield state
        if link != "up":
            raise self._no_answer(name, is_down=link == "down", limit_s=limit_s)
        if fault is not None:
            self.spend(fault.takes_s)
            raise fault.error
        if takes_s > limit_s:
            raise self.timeout(name, limit_s=limit_s)
        record.went_well = True

    @contextmanager
    def peek(self) -> Iterator[HostState]:
        """The state as it is now, without a call: for tests, and for the world's doing."""
        with self._open() as state:
            state.settle(self.world.clock.now_s())
            yield state

    def notice(self) -> None:
        """Tell whoever listens on this handle what others did to the host; nothing where nobody listens.

        Raises:
            HostUnreachable, HypervisorError: it is gone, or see Storage.
        """
        if not self.watchers.are_there:
            return
        with self._open(only_if_there=True) as state:
            state.settle(self.world.clock.now_s())
            is_down = state.link == "down"
        if is_down:
            self.watchers.lose("connection reset by peer")

    @contextmanager
    def _open(self, *, only_if_there: bool = False) -> Iterator[HostState]:
        news: tuple[HostEvent, ...] = ()
        try:
            with self._storage.open(only_if_there=only_if_there) as state:
                try:
                    yield state
                finally:
                    news = self.watchers.news(state)
        finally:
            self.watchers.tell(news)

    def timeout(self, call: str, *, limit_s: float) -> HostTimeout:
        """The error of a call that did not return in its time."""
        return HostTimeout(
            f"Host {self.name} did not answer {call} in time",
            why=f"no answer within {limit_s:g} s",
            context={"host": self.uri, "call": call},
        )

    # What may befall it.

    def set_link(self, link: Literal["up", "down", "hangs"]) -> None:
        """`down`: nobody answers. `hangs`: calls take all of their time and then fail."""
        with self.peek() as state:
            state.link = link
        if link == "down":
            self.watchers.lose("connection reset by peer")

    def kill_qemu(self, domain: str, *, after_s: float = 0.0) -> None:
        """QEMU of that running domain dies."""
        with self.peek() as state:
            record = _running(state, domain)
            record.ends_s, record.ends_as = self.world.clock.now_s() + after_s, DomainState.CRASHED
            state.settle(self.world.clock.now_s())

    def reset_guest(self, domain: str) -> None:
        """The guest resets without a word: it boots again. Where that means destroy, its domain is off."""
        with self.peek() as state:
            record = _running(state, domain)
            if record.live is not None and record.live.on_reboot == "destroy":
                record.stop(DomainState.OFF, at_s=self.world.clock.now_s())
            else:
                booting.boot(state, record, world=self.world)

    def behave(self, domain: str = "", **changes: Any) -> None:
        """How the guest of that domain shall behave from now on (its next boot, for times); all guests if no domain is named.

        Args:
            domain: its name; it need not exist yet.
            changes: fields of GuestBehaviour.
        """
        with self.peek() as state:
            state.behaviours[domain] = replace(state.behaviours.get(domain) or GuestBehaviour(), **changes)

    def fill_pool(self, pool: str, *, left_bytes: int = 0) -> None:
        """Foreign files take all of the pool but `left_bytes`."""
        with self.peek() as state:
            found = state.pools[pool]
            found.foreign_bytes = 0
            found.foreign_bytes = max(0, found.available_bytes - left_bytes)

    def sweep_rules(self) -> None:
        """Somebody starts the host's networks anew, and what was published there is gone."""
        with self.peek() as state:
            state.wires.publications.clear()

    def restart_daemon(self) -> None:
        """libvirtd ends and starts: connections are lost, domains run on, and it is forgotten which of the others crashed."""
        self.watchers.lose("end of file while reading data")
        with self.peek() as state:
            for record in state.domains.values():
                if record.state is DomainState.CRASHED:
                    record.state = DomainState.OFF

    def reboot(self) -> None:
        """The host itself reboots: connections and guests are gone, every device is on the kernel's choice."""
        self.watchers.lose("connection reset by peer")
        with self.peek() as state:
            for record, _ in state.running():
                record.stop(DomainState.OFF, at_s=self.world.clock.now_s())
            state.host_boots += 1
            state.wires.publications.clear()
            for function in state.functions.values():
                function.holder = function.driver_override = ""
                function.unbind_blocks = False
                function.probe()

    def _fail_before(self, fault: Fault | None) -> None:
        if fault is not None and not fault.takes_effect:
            self.spend(fault.takes_s)
            raise fault.error

    def _no_answer(self, call: str, *, is_down: bool, limit_s: float) -> HostUnreachable:
        if is_down:
            return HostUnreachable(f"Host {self.name} cannot be reached", why="connection refused", context={"host": self.uri})
        self.spend(limit_s)
        return self.timeout(call, limit_s=limit_s)

    def spend(self, duration_s: float) -> None:
        """Let time pass, with the state left open to others; never inside a block of `call`."""
        if duration_s > 0:
            self.world.clock.sleep(duration_s)


def _running(state: HostState, domain: str) -> DomainRecord:
    record = state.domains.get(domain)
    if record is None or not record.is_running:
        raise NotFound(f"Domain {domain} does not run on {state.name}")
    return record
