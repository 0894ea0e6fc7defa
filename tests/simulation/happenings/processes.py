"""What befalls the controller and its machine: it crashes, stays down, is stopped and goes on, is doubled, jumps in time."""

from __future__ import annotations

from random import Random

from tests.simulation.happenings import happening, trouble
from tests.simulation.happenings.choosing import spelled
from tests.simulation.process import Process
from tests.simulation.universe import Universe

DOWN_S = (20.0, 600.0, 3600.0)
STOPPED_S = (1.0, 20.0, 120.0, 1200.0)
LINGERS_S = (1.0, 30.0, 300.0)
JUMPS_S = (2.0, 60.0, 900.0, 3600.0, 6 * 3600.0)


@happening
def crash(universe: Universe, random: Random) -> str:
    """The controller's process ends, in the middle of whatever it does, and another one begins."""
    process = _one(universe, random)
    if process is None:
        return ""
    universe.crash(process)
    return f"controller {process.number} crashes, another one starts"


@happening
def stay_down(universe: Universe, random: Random) -> str:
    """It ends, and nobody starts another one for a while."""
    process, pause_s = _one(universe, random), random.choice(DOWN_S) * random.random()
    if process is None:
        return ""
    universe.crash(process, restarts=False)
    universe.later(pause_s, "a controller starts, if none runs", lambda: start_if_none(universe))
    return f"controller {process.number} crashes, and stays down for {spelled(pause_s)}"


@trouble
def stop_process(universe: Universe, random: Random) -> str:
    """It is stopped, perhaps in the middle of a pass, and goes on later as if nothing had been."""
    process, pause_s = _one(universe, random), random.choice(STOPPED_S) * random.random()
    if process is None:
        return ""
    process.resumes_at_s = universe.clock.monotonic_s() + pause_s
    return f"controller {process.number} is stopped for {spelled(pause_s)}"


@trouble
def lose_lease(universe: Universe, random: Random) -> str:
    """It is stopped for so long that another one takes over; then it goes on for a while before it notices, and dies."""
    process, pause_s = _one(universe, random), random.choice(STOPPED_S) * random.random()
    lingers_s = random.choice(LINGERS_S) * random.random()
    if process is None or len(universe.processes) > 1:
        return ""
    process.resumes_at_s = universe.clock.monotonic_s() + pause_s
    heir = universe.start_process()
    universe.later(
        pause_s + lingers_s, f"controller {process.number} notices that its lease is lost", lambda: end(universe, process)
    )
    return (
        f"controller {process.number} is stopped for {spelled(pause_s)}, controller {heir.number} takes over; "
        f"the old one then goes on for {spelled(lingers_s)}"
    )


@trouble
def jump_in_time(universe: Universe, random: Random) -> str:
    """The time of day on a controller's machine jumps, forwards or backwards, and is set right later."""
    process, pause_s = _one(universe, random), random.choice(DOWN_S) * random.random()
    jump_s = random.choice(JUMPS_S) * random.choice((-1, 1))
    if process is None:
        return ""
    process.clock.skew_s = jump_s

    def set_right() -> None:
        process.clock.skew_s = 0.0

    universe.later(pause_s, f"the clock of controller {process.number} is right again", set_right)
    return (
        f"the clock of controller {process.number} jumps {spelled(abs(jump_s))} {'ahead' if jump_s > 0 else 'back'}, "
        f"for {spelled(pause_s)}"
    )


def end(universe: Universe, process: Process) -> None:
    """It is gone, unless it is the only one."""
    if process in universe.processes and len(universe.processes) > 1:
        universe.crash(process, restarts=False)


def start_if_none(universe: Universe) -> None:
    """A machine that runs controllers starts one."""
    if not universe.processes:
        universe.start_process()


def _one(universe: Universe, random: Random) -> Process | None:
    return random.choice(universe.processes) if universe.processes else None
