"""What befalls whole hosts: they cannot be reached, hang, lose power, reboot, are slow, have no shell, lose their rules."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Literal

from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.drivers.simulated.troubles import cut_power
from tests.simulation.happenings import trouble
from tests.simulation.happenings.choosing import a_host, spelled
from tests.simulation.universe import Universe

AWAY_S = (20.0, 300.0, 1800.0, 6 * 3600.0)
"""A network that flaps, a switch that is restarted, a host that is repaired."""
SLOW_CALLS = ("domains.start", "domains.destroy", "devices.bind_vfio", "devices.reset", "volumes.create", "volumes.upload")


@trouble
def lose_network(universe: Universe, random: Random) -> str:
    """Nobody reaches a host; its VMs run on."""
    return _away(universe, random, "down", "cannot be reached")


@trouble
def hang(universe: Universe, random: Random) -> str:
    """A host takes calls and answers none."""
    return _away(universe, random, "hangs", "hangs")


@trouble
def lose_power(universe: Universe, random: Random) -> str:
    """The power of a host is interrupted: it has booted when it answers again."""
    host, pause_s = a_host(universe, random), _pause_s(random)
    cut_power(host)
    universe.later(pause_s, f"{host.name} has booted", lambda: host.set_link("up"))
    return f"{host.name} is without power for {spelled(pause_s)}"


@trouble
def lose_rack(universe: Universe, random: Random) -> str:
    """Several hosts at once cannot be reached."""
    hosts = random.sample(universe.fleet.hosts, min(5, len(universe.fleet.hosts)))
    pause_s = _pause_s(random)
    for host in hosts:
        host.set_link("down")

    def come_back() -> None:
        for host in hosts:
            host.set_link("up")

    names = ", ".join(host.name for host in hosts)
    universe.later(pause_s, f"{names} can be reached again", come_back)
    return f"{names} cannot be reached for {spelled(pause_s)}"


@trouble
def reboot(universe: Universe, random: Random) -> str:
    """A host boots, and answers again at once."""
    host = a_host(universe, random)
    host.reboot()
    return f"{host.name} reboots"


@trouble
def slow_host(universe: Universe, random: Random) -> str:
    """What a host is asked takes its time for a while, some of it more than anybody waits."""
    host, pause_s = a_host(universe, random), random.choice((60.0, 900.0)) * random.random()
    takes_s = {call: random.choice((1.0, 5.0, 20.0, 90.0)) for call in random.sample(SLOW_CALLS, 3)}
    timing = universe.fleet.world.timing
    host.world = replace(host.world, timing=replace(timing, calls={**timing.calls, **takes_s}))
    universe.later(pause_s, f"{host.name} is as fast as ever", lambda: as_fast_as_ever(universe, host))
    return f"{host.name} is slow for {spelled(pause_s)}: {', '.join(sorted(takes_s))}"


@trouble
def lose_shell(universe: Universe, random: Random) -> str:
    """No shell leads to a host: it cannot be examined, and nothing can be reset or scrubbed there."""
    host, pause_s = a_host(universe, random), _pause_s(random)
    host.forbid_examination("ssh: connect to host port 22: Connection refused")
    universe.later(pause_s, f"a shell leads to {host.name} again", lambda: host.forbid_examination(""))
    return f"no shell leads to {host.name} for {spelled(pause_s)}"


@trouble
def sweep_rules(universe: Universe, random: Random) -> str:
    """The networks of a host are started anew, and what was published is gone."""
    host = a_host(universe, random)
    host.sweep_rules()
    return f"{host.name} loses the rules of its networks"


def as_fast_as_ever(universe: Universe, host: SimulatedHost) -> None:
    """Its calls take what calls take."""
    host.world = universe.fleet.world


def _away(universe: Universe, random: Random, link: Literal["down", "hangs"], words: str) -> str:
    host, pause_s = a_host(universe, random), _pause_s(random)
    host.set_link(link)
    universe.later(pause_s, f"{host.name} answers again", lambda: host.set_link("up"))
    return f"{host.name} {words} for {spelled(pause_s)}"


def _pause_s(random: Random) -> float:
    return random.choice(AWAY_S) * (0.1 + 0.9 * random.random())
