"""What befalls storage: pools fill up with foreign files, or stand still."""

from __future__ import annotations

from random import Random

from tests.simulation.happenings import trouble
from tests.simulation.happenings.choosing import a_host, spelled
from tests.simulation.universe import Universe

LEFT_BYTES = (0, 1 << 20, 1 << 30, 11 << 30)
FOR_S = (60.0, 900.0, 7200.0)


@trouble
def fill_pool(universe: Universe, random: Random) -> str:
    """Foreign files fill a pool of a host, and are removed again."""
    host, pause_s, left_bytes = a_host(universe, random), random.choice(FOR_S) * random.random(), random.choice(LEFT_BYTES)
    with host.peek() as state:
        pool = random.choice(sorted(state.pools))
    host.fill_pool(pool, left_bytes=left_bytes)

    def empty() -> None:
        with host.peek() as state:
            state.pools[pool].foreign_bytes = 0

    universe.later(pause_s, f"pool {pool} of {host.name} has room again", empty)
    return f"pool {pool} of {host.name} has {left_bytes / 2**30:.1f} GiB left for {spelled(pause_s)}"


@trouble
def stop_pool(universe: Universe, random: Random) -> str:
    """A pool of a host is not active for a while."""
    host, pause_s = a_host(universe, random), random.choice(FOR_S) * random.random()
    with host.peek() as state:
        pool = random.choice(sorted(state.pools))
        state.pools[pool].is_active = False

    def start() -> None:
        with host.peek() as state:
            state.pools[pool].is_active = True

    universe.later(pause_s, f"pool {pool} of {host.name} is active again", start)
    return f"pool {pool} of {host.name} is not active for {spelled(pause_s)}"
