"""Bugs that a colleague could write in a hurry: the simulation is worth something only if it finds them.

    claims      who owns a GPU               devices     drivers, companions, domains that run
    cleaning    between two tenants          readiness   what a status says
    store       writes, watches, wakes       leaving     what must be gone, and what must stay
    planning    what is free                 recovery    orphans, requests

Each is one small change of production code, planted in this process for a while (planting.py says how), and must be found by a
check that was written for what must hold, never for the bug. test_bugs.py holds that: each within a thousand seeds.

    python -m tests.simulation.bugs restored-before-reset
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from tests.simulation.bugs import claims, cleaning, devices, leaving, planning, readiness, recovery, store
from tests.simulation.bugs.planting import BUGS, Bug, planted

__all__ = ["BUGS", "Bug", "claims", "cleaning", "devices", "leaving", "planning", "plant", "readiness", "recovery", "store"]


def plant(name: str) -> AbstractContextManager[None]:
    """While it is open, the bug of that name is in the production code of this process. Raises KeyError: there is none."""
    return planted(BUGS[name])
