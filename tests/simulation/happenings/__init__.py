"""Everything that may befall a fleet, by name: what users do, what operators do, what breaks.

A happening is a function of the Universe and of a Random of its own; it returns in a few words what it did and to whom (empty:
there was nobody to do it to). It acts at once: no time passes in it. What comes of it later (a host is mended) it leaves to
`universe.later`, which belongs to it. It talks to the store directly, as another client does, and to hosts as the world does
(`peek`, mishaps), never through a controller's ports.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from random import Random

from tests.simulation.universe import Universe

Act = Callable[[Universe, Random], str]
ACTS: dict[str, Act] = {}
"""Every happening by its name; modules beside this one fill it."""


def happening(act: Act) -> Act:
    """Make it known under its function's name."""
    assert act.__name__ not in ACTS, act.__name__
    ACTS[act.__name__] = act
    return act


def trouble(act: Act) -> Act:
    """The same for what breaks something, which is counted."""

    @wraps(act)
    def counted(universe: Universe, random: Random) -> str:
        said = act(universe, random)
        universe.troubles += bool(said)
        return said

    return happening(counted)
