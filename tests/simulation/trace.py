"""What happens in one seed, line by line, for whoever reads it: virtual time, who, what.

      1:02:03.400  happening 4    delete: vm3
      1:02:03.400  #1             domains.shutdown h03 hikube-default.vm3 ok
      1:02:03.900  #1             VirtualMachine default/vm3 phase Ready -> Deleting
          (nothing for 0:41:10)

`#1` is a controller process by its number. Told are happenings, calls that change something or begin to fail, what is written
to the store, faults that strike, deaths and pauses of processes, passes that failed, and in the end the violation with what
stands around it. A trace reads behind everybody's back: the run is the same with it and without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from provisioner.drivers.simulated.faults import Call, Fault
from provisioner.store.protocol import ChangeType
from tests.simulation.happening import Happening
from tests.simulation.happenings import ACTS
from tests.simulation.surroundings import surroundings
from tests.simulation.universe import Universe
from tests.simulation.violation import Violation
from tests.simulation.writings import Writings

CHANGING = frozenset(
    f"{part}.{method}"
    for part, methods in {
        "devices": "bind_vfio reset restore scrub",
        "domains": "define destroy eject shutdown start undefine",
        "guests": "hand_over",
        "networks": "define_filter publish release reserve undefine_filter withdraw",
        "records": "write",
        "volumes": "clone create delete resize upload",
        "images": "fetch",
    }.items()
    for method in methods.split()
)
"""Calls that are told when they go well too."""
QUIET_S = 60.0
"""A longer time of which there is nothing to tell is told of."""
WORLD = "world"
PASS = "pass"


class Trace:
    """Of one trial; hand it in, and every line comes to `write`."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._doing = WORLD
        """Whose writes come next."""
        self._pending: list[tuple[Call, str]] = []
        self._failing: dict[tuple[str, str], str] = {}
        self._processes: dict[int, float] = {}
        self._said_s = 0.0
        self._log = _Overheard(self)
        self._followed: Universe | None = None

    def follow(self, universe: Universe) -> None:
        """Tell what happens in it from now on."""
        self._followed = universe
        self._writings = Writings()
        self._version = universe.store.version
        self._ask_next, universe.gate.between_calls = universe.gate.between_calls, self._between_calls
        self._look_next, universe.on_event = universe.on_event, self._on_event
        universe.gate.on_fault = self._fault
        logging.getLogger("hikube").addHandler(self._log)

    def strike(self, happening: Happening, told: str) -> None:
        """It has just struck; what it said that it did."""
        self._doing = WORLD
        self.say(f"happening {happening.number}", f"{happening.name}: {told or 'there was nothing to do it to'}")
        self._catch_up()

    def end(self, violation: Violation | None) -> None:
        """That was all; nothing is said if it never began."""
        if self._followed is None:
            return
        self._catch_up()
        logging.getLogger("hikube").removeHandler(self._log)
        if violation is None:
            self.say("end", "nothing was wrong")
            return
        self.say("VIOLATION", str(violation))
        for line in surroundings(self._universe, violation.what):
            self._write(f"{'':13}  {line}")

    def say(self, who: str, what: str) -> None:
        """One line, at the time that it is now."""
        now_s = self._universe.clock.monotonic_s()
        if now_s - self._said_s > QUIET_S:
            self._write(f"{'':13}  (nothing for {told_time(now_s - self._said_s).partition('.')[0]})")
        self._said_s = now_s
        self._write(f"{told_time(now_s):>13}  {who:<13}  {what}")

    def overhear(self, text: str) -> None:
        """What production code logs."""
        self.say(self._who(), f"log: {text}")

    @property
    def _universe(self) -> Universe:
        assert self._followed is not None
        return self._followed

    def _who(self) -> str:
        process = self._universe.current
        return f"#{process.number}" if process is not None else WORLD

    # what the universe tells

    def _between_calls(self, host: str, call: str, subject: str) -> bool:
        """A call is about to be made: tell what the one before came to."""
        self._catch_up()
        who, newest = self._who(), self._universe.fleet.calls.newest
        if who != WORLD and newest is not None and (newest.host, newest.name, newest.subject) == (host, call, subject):
            self._pending.append((newest, who))
        answer = self._ask_next(host, call, subject)
        self._doing = self._who()
        return answer

    def _on_event(self, what: str) -> None:
        if what != PASS:
            self._doing = WORLD
            if what not in ACTS:
                self.say("later", what)
        self._catch_up()
        self._look_next(what)
        if self._universe.current is None:
            self._pending.clear()

    def _fault(self, host: str, call: str, subject: str, fault: Fault) -> None:
        how = "takes effect, but answers" if fault.takes_effect else "fails with"
        self.say(self._who(), f"FAULT {call} {host} {subject} {how} {type(fault.error).__name__}")

    # what has become of it since

    def _catch_up(self) -> None:
        self._tell_calls()
        self._tell_writes()
        self._tell_processes()

    def _tell_calls(self) -> None:
        ended = [each for each in self._pending if each[0].went_well or each[0].error]
        self._pending = [each for each in self._pending if each not in ended]
        for call, who in ended:
            place, text = (call.host, call.name), f"{call.name} {call.host} {call.subject} {call.error or 'ok'}"
            is_news = self._failing.pop(place, "") != call.error
            if call.error:
                self._failing[place] = call.error
            if call.name in CHANGING or (call.error and is_news):
                self.say(who, text)

    def _tell_writes(self) -> None:
        store = self._universe.store
        if store.version == self._version:
            return
        for change in store.watch(self._version, timeout_s=0.0):
            self._version = change.version
            for line in self._writings.lines(change.resource, is_gone=change.type is ChangeType.DELETED):
                self.say(self._doing, line)

    def _tell_processes(self) -> None:
        now_s = self._universe.clock.monotonic_s()
        now = {process.number: process.resumes_at_s for process in self._universe.processes}
        for number in [number for number in self._processes if number not in now]:
            self.say(f"#{number}", "DIES")
        for number, resumes_at_s in now.items():
            if number not in self._processes:
                self.say(f"#{number}", "begins")
            elif resumes_at_s > max(self._processes[number], now_s):
                self.say(f"#{number}", f"STOPS for {resumes_at_s - now_s:.1f} s")
        self._processes = now


class _Overheard(logging.Handler):
    def __init__(self, trace: Trace) -> None:
        super().__init__(logging.WARNING)
        self._trace = trace

    def emit(self, record: logging.LogRecord) -> None:
        """See Handler."""
        error = record.exc_info[1] if record.exc_info else None
        self._trace.overhear(record.getMessage() + (f": {type(error).__name__}: {error}" if error is not None else ""))


def told_time(time_s: float) -> str:
    """h:mm:ss.mmm."""
    whole_ms = round(time_s * 1000)
    return f"{whole_ms // 3_600_000}:{whole_ms // 60_000 % 60:02d}:{whole_ms // 1000 % 60:02d}.{whole_ms % 1000:03d}"
