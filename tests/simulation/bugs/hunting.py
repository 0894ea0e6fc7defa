"""Looks for a planted bug: seed by seed, until a check finds that something is wrong."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from tests.simulation.bugs.planting import Bug, planted
from tests.simulation.runner import Finding, live_through, quiet
from tests.simulation.scenario import read_scenario

SEEDS_MAX = 1000
SEED_LIMIT_S = 20.0
"""CPU time; what turns without end is found by that at last."""


@dataclass(frozen=True, slots=True)
class Catch:
    """How a bug was found."""

    seeds: int
    """How many were tried; the last of them found it."""
    finding: Finding


def hunt(bug: Bug, seeds: Iterable[int]) -> Catch | None:
    """Try these seeds with the bug in the production code; None if no check found anything."""
    scenario = read_scenario(bug.scenario)
    with planted(bug), quiet():
        for number, seed in enumerate(seeds, start=1):
            finding = live_through(scenario, seed, limit_s=SEED_LIMIT_S).finding
            if finding is not None:
                return Catch(number, finding)
    return None


@functools.cache
def without_bugs(scenario: str, seed: int) -> Finding | None:
    """What that seed finds in the production code as it is; tried once in a process, since many bugs share seeds."""
    with quiet():
        return live_through(read_scenario(scenario), seed, limit_s=SEED_LIMIT_S).finding
