"""One simulated hikube and its time: hosts, a store, controller processes that take turns, and a plan that befalls them.

    live(duration) ──> turn of a process ──> checks ──> … nothing is due ──> the clock moves to whatever comes next
                            │ before each port call
                            ├── a happening that waits for this call strikes
                            ├── another pass comes in between (another worker, or another process)
                            └── the process turns out to be dead: Crash

One thread. Whatever is decided here is drawn from `random`, which comes from the seed. When nothing has changed for a while the
controllers' machines are suspended until the next happening: their passes would see what the last ones saw.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

from provisioner.clocks import ManualClock, SeededIdentifiers
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.guests import SimulatedGuests
from provisioner.drivers.simulated.images import SimulatedImages
from provisioner.lifecycle.background import Meter
from provisioner.lifecycle.ports import Ports
from provisioner.model.errors import HikubeError
from provisioner.model.gpu_host import GPUHostSpec
from provisioner.model.tables import Tables
from provisioner.store.memory import MemoryStore
from tests.simulation.agenda import Agenda, Sequel
from tests.simulation.happening import Happening
from tests.simulation.moments import Gate
from tests.simulation.process import Crash, Process, Surroundings
from tests.simulation.rest import Rest
from tests.simulation.scenario import Scenario

DEPTH_MAX = 2
"""How many passes may be in the middle of a call at once."""
STOPPING = frozenset({"domains.shutdown", "domains.destroy", "domains.undefine"})
SLEEP_MAX_S = 4 * 3600.0
GHOSTS = 0.5
"""How many background jobs of a process that dies still take effect: what was asked of a host was on its way."""
GHOST_MAX_S = 8.0


class Universe:
    """Everything, in one thread. `on_event` is called after every pass and every happening."""

    def __init__(self, scenario: Scenario, seed: int, *, directory: Path, tables: Tables | None = None) -> None:
        self.scenario = scenario
        self.seed = seed
        self.random = Random(f"{seed}/order")
        self.clock = ManualClock()
        self.gate = Gate()
        self.gate.between_calls = self._between_calls
        self.fleet = SimulatedFleet(self.clock, seed=seed, timing=scenario.durations.timing(), faults=self.gate)
        self.store = MemoryStore(clock=self.clock, identifiers=SeededIdentifiers(seed))
        self.tables = tables or Tables.builtin()
        self._around = Surroundings(
            clock=self.clock,
            store=self.store,
            fleet=self.fleet,
            gate=self.gate,
            guests=SimulatedGuests(self.fleet),
            images=SimulatedImages(directory, world=self.fleet.world),
            tables=self.tables,
            random=self.random,
        )
        self.processes: list[Process] = []
        self.on_event: Callable[[str], None] = lambda _what: None
        self.strike: Callable[[Happening], None] = lambda _happening: None
        self.passes = self.crashes = self.calls = self.troubles = 0
        self.interleaving = scenario.interleaving
        self.touched: set[str] = set()
        """Names of the hosts that somebody called since the checks looked last."""
        self.stops: list[tuple[str, str, str]] = []
        """Host, call and domain of what the controller with the lease did to end domains since the checks looked last."""
        self.slept_s = 0.0
        """For how long all controllers were stopped because all was quiet."""
        self.pass_began_s = 0.0
        """When the pass that is being made began; of several in the middle of a call, the first."""
        self._agenda = Agenda()
        self._running: list[Process] = []
        self._rest = Rest(self.store, self.clock, self.random)
        self._ghosts: list[tuple[float, Process, Callable[[Meter], object]]] = []
        self.removed_by_force: set[str] = set()
        """The uids of VMs that somebody removed behind the controller's back."""
        self.host_specs: dict[str, GPUHostSpec] = {}
        """What hosts were added with, by name."""
        self.strangers: set[str] = set()
        """The UUIDs of domains that another store made, before a host was added to this one."""
        self.seen_to: dict[tuple[str, str], float] = {}
        """GPUs by host and address that an operator prepared by hand, and when, by the time of day."""

    # processes

    def start_process(self) -> Process:
        """Another controller, that remembers nothing."""
        process = Process(self._around)
        self.processes.append(process)
        return process

    def crash(self, process: Process, *, restarts: bool = True) -> None:
        """The process ends here and now; a pass of it that is in the middle of a call goes no further.

        One at a time has the lease: where there is another, none starts.
        """
        self.crashes += 1
        now_s = self.clock.monotonic_s()
        for work in process.jobs.under_way:
            if self.random.random() < GHOSTS:
                self._ghosts.append((now_s + self.random.uniform(0.0, GHOST_MAX_S), process, work))
        process.die()
        self._hang_up(process)
        self.processes.remove(process)
        if restarts and not self.processes:
            self.start_process()

    def session(self) -> Ports:
        """The ports of a command that somebody runs beside the controllers: no call of it is delayed or fails as staged."""
        return self._around.ports()

    @property
    def current(self) -> Process | None:
        """Whose call is being made."""
        return self._running[-1] if self._running else None

    # time

    def follow(self, plan: Iterable[Happening]) -> None:
        """Let these happen at their times."""
        self._agenda.follow(plan)

    def later(self, delay_s: float, what: str, act: Callable[[], object]) -> None:
        """Let this come of the happening that strikes now, between two passes; it comes with it and goes with it."""
        self._agenda.later(self.clock.monotonic_s() + delay_s, what, act)

    def end_plan(self) -> None:
        """From now on nothing befalls the fleet any more."""
        self._agenda.end()

    def live(self, duration_s: float, *, until: Callable[[], bool] = lambda: False, may_sleep: bool = True) -> bool:
        """Let that much time pass, or until `until()`; says whether that came. Raises what `on_event` raises."""
        end_s = self.clock.monotonic_s() + duration_s
        while not until():
            left_s = end_s - self.clock.monotonic_s()
            if left_s <= 0:
                return False
            if idle_s := self._turn():
                self._let_pass(min(left_s, idle_s), left_s=left_s, may_sleep=may_sleep)
        return True

    def _turn(self) -> float:
        """Whoever has something to do does it; else the seconds until somebody has."""
        self._let_ghosts_act()
        if self._strike_due():
            return 0.0
        idle_s = float("inf")
        now_s = self.clock.monotonic_s()
        free = [process for process in self.processes if process not in self._running]
        awake = [process for process in free if process.resumes_at_s <= now_s]
        for process in self.random.sample(awake, len(awake)) if len(awake) > 1 else awake:
            process_idle_s = self._turn_of(process)
            if process_idle_s == 0.0:
                self.passes += 1
                self.on_event("pass")
                return 0.0
            idle_s = min(idle_s, process_idle_s, process.next_job_s - now_s)
        asleep = min((process.resumes_at_s - now_s for process in free if process not in awake), default=idle_s)
        return max(0.001, min(idle_s, asleep, self._agenda.next_s - now_s))

    def _turn_of(self, process: Process) -> float:
        if not self._running:
            self.pass_began_s = self.clock.monotonic_s()
        self._running.append(process)
        try:
            return process.turn()
        except Crash as crash:
            if crash.process not in (None, process):
                raise
            if not process.is_dead:
                self.crash(process)
            return 0.0
        finally:
            self._running.pop()

    def _let_pass(self, pause_s: float, *, left_s: float, may_sleep: bool) -> None:
        """Nobody has anything to do for so long. When all has been quiet, everybody sleeps until something happens."""
        now_s = self.clock.monotonic_s()
        is_busy = self._agenda.waits_for_a_call or any(process.jobs.under_way for process in self.processes)
        if may_sleep and not is_busy and self._rest.is_quiet:
            awake_s, pause_s = pause_s, max(pause_s, min(left_s, self._agenda.next_s - now_s, SLEEP_MAX_S))
            self.slept_s += pause_s - awake_s
            for process in self.processes:
                process.clock.slept_s += pause_s - awake_s
        self.clock.sleep(pause_s)

    def _let_ghosts_act(self) -> None:
        now_s = self.clock.monotonic_s()
        for ghost in [ghost for ghost in self._ghosts if ghost[0] <= now_s]:
            self._ghosts.remove(ghost)
            running, self._running = self._running, []
            with contextlib.suppress(HikubeError):
                ghost[2](Meter())
            self._running = running
            self._hang_up(ghost[1])

    def _hang_up(self, process: Process) -> None:
        """Its connections end with the last call that was on its way."""
        if all(ghost[1] is not process for ghost in self._ghosts):
            process.hang_up()

    # happenings

    def _strike_due(self) -> bool:
        """Do what is due between two passes; says whether there was anything."""
        due = self._agenda.between_passes(self.clock.monotonic_s(), calls=self.calls)
        if isinstance(due, Sequel):
            self._do(due.what, due.act)
        elif due is not None:
            self._strike(due)
        return due is not None

    def _strike(self, happening: Happening) -> None:
        self._do(happening.name, lambda: self.strike(happening))

    def _do(self, what: str, act: Callable[[], object]) -> None:
        """The world acts: no call of it is a controller's."""
        running, self._running = self._running, []
        try:
            act()
        finally:
            self._running = running
        self._rest.disturb()
        self.on_event(what)

    # between two calls

    def _between_calls(self, host: str, call: str, subject: str) -> bool:
        process = self.current
        if process is None:
            self.touched.add(host)
            return False
        self.calls += 1
        self._die_if_dead(process)
        if (happening := self._agenda.before_call(self.calls)) is not None:
            self._strike(happening)
        if process.resumes_at_s:
            self._sit_out(process)
        if self.interleaving and len(self._running) <= DEPTH_MAX and self.random.random() < self.interleaving:
            self._meanwhile(process)
        self._die_if_dead(process)
        self.touched.add(host)  # last: the checks may have looked meanwhile
        was_away = process.resumes_at_s > self.pass_began_s  # in mid-pass, longer than a lease lasts; and no fence is here
        if call in STOPPING and process is self.processes[-1] and not was_away:
            self.stops.append((host, call, subject))
        return True

    def _sit_out(self, process: Process) -> None:
        """It was stopped in the middle of a pass; the others go on until it runs again."""
        while not process.is_dead and (left_s := process.resumes_at_s - self.clock.monotonic_s()) > 0:
            if idle_s := self._turn():
                self.clock.sleep(min(left_s, idle_s))

    def _die_if_dead(self, process: Process) -> None:
        if process.is_dead:
            raise Crash(process)

    def _meanwhile(self, process: Process) -> None:
        """While that process is in the middle of a call, another worker of it or another process does something."""
        others = [each for each in self.processes if each not in self._running]
        if others and self.random.random() < 0.5:
            self._turn_of(self.random.choice(others))
        elif not process.ports.snapshots.turn.locked():
            self._running.append(process)
            try:
                process.other_pass()
            finally:
                self._running.pop()
        self.passes += 1
