"""A few seeds of every scenario at every change; `make sim` lives through a thousand days, a night through many more."""

from __future__ import annotations

import pytest

from tests.simulation.happening import plan
from tests.simulation.happenings.all import ACTS
from tests.simulation.runner import live_through, quiet
from tests.simulation.scenario import DIRECTORY, read_scenario

SCENARIOS = sorted(path.stem for path in DIRECTORY.glob("*.yaml"))
SEEDS = 1

each_scenario = pytest.mark.parametrize("name", SCENARIOS)


@each_scenario
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_fleet_lives_through_it(name: str, seed: int) -> None:
    with quiet():
        outcome = live_through(read_scenario(name), seed)
    assert outcome.finding is None
    assert outcome.tally.checks > 0


@each_scenario
def test_a_plan_is_a_seeds_and_by_time(name: str) -> None:
    scenario = read_scenario(name)
    planned = plan(scenario, 7)
    assert planned == plan(scenario, 7) != plan(scenario, 8)
    assert len(planned) == scenario.happenings
    assert [each.number for each in planned] == sorted(each.number for each in planned)
    assert [each.at_s for each in planned] == sorted(each.at_s for each in planned)


def test_whatever_can_happen_happens_in_some_scenario() -> None:
    happens = {name for scenario in map(read_scenario, SCENARIOS) for name, weight in scenario.weights.items() if weight > 0}
    assert happens == set(ACTS)
