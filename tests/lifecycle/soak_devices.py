"""What may befall the GPUs of a soak's hosts: they die, are exchanged, do not reset, are not let go, cannot be looked at."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from provisioner.drivers.simulated.host import SimulatedHost


def sicken(host: SimulatedHost, address: str, *, random: Random) -> None:
    """One of them, chosen; or a scrub command that does not end well from now on."""
    with host.peek() as state:
        companions = [other for other in state.functions if other != address and other[:-1] == address[:-1]]
    troubles: tuple[Callable[[], None], ...] = (
        lambda: host.die(address),
        lambda: host.swap(address),
        lambda: host.fail_resets(address),
        lambda: host.block_unbind(address),
        lambda: host.block_unbind(random.choice([address, *companions])),
        lambda: host.forbid_examination("connection refused"),
        lambda: host.end_scrubs(status=random.choice((0, 0, 3)), takes_s=random.choice((1.0, 20.0, 900.0))),
    )
    random.choice(troubles)()
