"""What befalls guests: they die, reset, never answer, fail in cloud-init, lack a GPU, heed no shutdown; for a while."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.simulation.happenings import trouble
from tests.simulation.happenings.choosing import a_domain, a_host, spelled
from tests.simulation.universe import Universe

ILL: dict[str, dict[str, Any]] = {
    "do not boot": {"boots": False},
    "get no address": {"gets_address": False},
    "do not answer on SSH": {"answers_ssh": False},
    "heed no shutdown": {"heeds_shutdown": False},
    "miss a GPU": {"missing_gpus": 1},
    "fail in cloud-init": {"cloud_init": "error"},
    "hang in cloud-init": {"cloud_init": "hangs"},
    "have no driver": {"nvidia_driver": ""},
    "have a wrong host key": {"has_wrong_host_key": True},
    "report garbage": {"report_is_garbage": True},
}
FOR_S = (30.0, 300.0, 3600.0)


@trouble
def kill_qemu(universe: Universe, random: Random) -> str:
    """QEMU of a running domain dies, now or in a moment."""
    found = a_domain(universe, random)
    if found is None:
        return ""
    host, domain = found
    host.kill_qemu(domain, after_s=random.choice((0.0, 0.0, 5.0)))
    return f"QEMU of {domain} on {host.name} dies"


@trouble
def reset_guest(universe: Universe, random: Random) -> str:
    """A guest resets without a word."""
    found = a_domain(universe, random)
    if found is None:
        return ""
    host, domain = found
    host.reset_guest(domain)
    return f"the guest of {domain} on {host.name} resets"


@trouble
def misbehave(universe: Universe, random: Random) -> str:
    """Guests of a host, or one of them, are not as they should be for a while."""
    found = a_domain(universe, random)
    host, domain = found if found is not None and random.random() < 0.5 else (a_host(universe, random), "")
    words = random.choice(sorted(ILL))
    pause_s = random.choice(FOR_S) * random.random()
    host.behave(domain, **ILL[words])

    def behave() -> None:
        with host.peek() as state:
            state.behaviours.pop(domain, None)

    whose = domain or "guests"
    universe.later(pause_s, f"{whose} on {host.name} behave again", behave)
    return f"{whose} on {host.name} {words} for {spelled(pause_s)}"
