"""What befalls a fleet, as data: drawn from a seed before anything runs, so that it can be left out, cut short and replayed.

A happening knows when it is due and the seed of its own randomness; whom it hits it decides when it strikes, on the world as it
is then. None depends on another having happened: every part of a plan is a plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.simulation.scenario import Scenario

PAUSES_S = (0.0, 0.5, 3.0, 12.0, 60.0, 240.0, 1200.0)
"""Between two happenings, before they are stretched to the length of the scenario: many come close together."""
CALLS_LATER_MAX = 40
BETWEEN_PASSES = 0.4
"""How many strike between two passes; the others strike between two calls of one."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One of a plan."""

    number: int
    at_s: float
    """Since the beginning, by the world's clock."""
    calls_later: int
    """Strikes before that many-th port call of a controller after it is due; 0: between two passes, as soon as it is due."""
    name: str
    seed: int


def plan(scenario: Scenario, seed: int) -> tuple[Happening, ...]:
    """The happenings of that seed, by time."""
    random = Random(f"{seed}/plan")
    names, weights = zip(*sorted(scenario.weights.items()), strict=True)
    pauses = [random.choice(PAUSES_S) * random.random() for _ in range(scenario.happenings)]
    stretch = scenario.duration_s / (sum(pauses) or 1.0)
    planned, at_s = [], 0.0
    for number, pause_s in enumerate(pauses):
        at_s += pause_s * stretch if pause_s > PAUSES_S[-2] else pause_s
        calls_later = 0 if random.random() < BETWEEN_PASSES else random.randint(1, CALLS_LATER_MAX)
        name = random.choices(names, weights)[0]
        planned.append(Happening(number, at_s, calls_later, name, random.getrandbits(48)))
    return tuple(planned)
