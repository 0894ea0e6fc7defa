"""What befalls GPUs: they fall off the bus, vanish, are swapped, do not reset, are not let go, are held, die with a guest."""

from __future__ import annotations

from random import Random

from provisioner.drivers.simulated.troubles import FALLEN_OFF_THE_BUS, mend_gpu
from tests.simulation.happenings import trouble
from tests.simulation.happenings.choosing import a_gpu, a_host, spelled
from tests.simulation.universe import Universe

FOR_S = (10.0, 120.0, 900.0, 7200.0)
MENDED = 0.6
"""How many come right by themselves; the others stay as they are until somebody sees to them."""


@trouble
def fall_off_the_bus(universe: Universe, random: Random) -> str:
    """A GPU is dead: its files stay, its config space reads as all ones."""
    host, address = a_gpu(universe, random)
    host.die(address)
    return f"{host.name}/{address} falls off the bus{_mended(universe, random, host.name, address)}"


@trouble
def vanish(universe: Universe, random: Random) -> str:
    """A GPU is gone from the bus, and comes back on the driver that the kernel chooses."""
    host, address = a_gpu(universe, random)
    host.lose(address)
    return f"{host.name}/{address} is gone from the bus{_mended(universe, random, host.name, address)}"


@trouble
def swap(universe: Universe, random: Random) -> str:
    """Another card is in the slot; nobody said so."""
    host, address = a_gpu(universe, random)
    host.swap(address)
    return f"{host.name}/{address} is another card now"


@trouble
def fail_resets(universe: Universe, random: Random) -> str:
    """A GPU does not come back from a reset."""
    host, address = a_gpu(universe, random)
    host.fail_resets(address)
    return f"resets of {host.name}/{address} fail{_mended(universe, random, host.name, address)}"


@trouble
def block_unbind(universe: Universe, random: Random) -> str:
    """The driver of a GPU, or of a function beside it, does not let go."""
    host, address = a_gpu(universe, random)
    with host.peek() as state:
        card = sorted(other for other in state.functions if other[:-1] == address[:-1])
    function = random.choice(card)
    host.block_unbind(function)
    return f"{host.name}/{function} is not let go by its driver{_mended(universe, random, host.name, function)}"


@trouble
def hold(universe: Universe, random: Random) -> str:
    """A process on the host has a GPU open for a while."""
    (host, address), pause_s = a_gpu(universe, random), random.choice(FOR_S[:3]) * random.random()
    host.hold(address, by="python3 (pid 4711)")
    universe.later(pause_s, f"{host.name}/{address} is closed", lambda: host.hold(address, by=""))
    return f"{host.name}/{address} is held by a process for {spelled(pause_s)}"


@trouble
def report_xid(universe: Universe, random: Random) -> str:
    """The driver of whichever guest has a GPU says that it is dead."""
    host, address = a_gpu(universe, random)
    host.sicken(address, xid=FALLEN_OFF_THE_BUS)
    return f"{host.name}/{address} makes guests report Xid {FALLEN_OFF_THE_BUS}{_mended(universe, random, host.name, address)}"


@trouble
def fail_scrubs(universe: Universe, random: Random) -> str:
    """The scrub command of a host fails, or takes very long, for a while."""
    host, pause_s = a_host(universe, random), random.choice(FOR_S) * random.random()
    status, takes_s = random.choice((0, 3)), random.choice((1.0, 20.0, 900.0))
    host.end_scrubs(status=status, takes_s=takes_s)
    universe.later(pause_s, f"scrubs of {host.name} go well again", lambda: host.end_scrubs(status=0))
    return f"scrubs of {host.name} end with {status} after {spelled(takes_s)}, for {spelled(pause_s)}"


def _mended(universe: Universe, random: Random, name: str, address: str) -> str:
    """Let it come right later, or not; in words."""
    pause_s = random.choice(FOR_S) * random.random()
    if random.random() > MENDED:
        return ""
    host = universe.fleet.host(name)
    universe.later(pause_s, f"{name}/{address} is well again", lambda: mend_gpu(host, address))
    return f", for {spelled(pause_s)}"
