"""Worker processes: their outcomes are those of one process, and none of them is waited for without end."""

from __future__ import annotations

import os
import threading
from multiprocessing import active_children

import pytest

from tests.simulation.crew import DIED, Crew
from tests.simulation.runner import DOES_NOT_END, Outcome, live_through, quiet
from tests.simulation.scenario import Hosts, Scenario
from tests.simulation.trial import Tally

SMALL = Scenario(
    name="small",
    about="A host and an hour.",
    hosts=(Hosts(count=1, preset="l40s"),),
    hours=1,
    happenings=3,
    weights={"create": 2, "delete": 1},
)
DEADLY = 3


def count_only(_scenario: Scenario, seed: int) -> Outcome:
    return Outcome(seed, Tally(seeds=1, events=seed))


def die_of_one(scenario: Scenario, seed: int) -> Outcome:
    if seed == DEADLY:
        os._exit(7)
    return count_only(scenario, seed)


def wait_for_nothing(_scenario: Scenario, seed: int) -> Outcome:
    threading.Event().wait()
    raise AssertionError(seed)


def test_many_processes_find_what_one_finds() -> None:
    with Crew(SMALL, jobs=2) as crew:
        outcomes = {outcome.seed: outcome for outcome in crew.outcomes(range(5))}
    with quiet():
        assert outcomes == {seed: live_through(SMALL, seed) for seed in range(5)}
    assert not active_children()


def test_a_seed_that_takes_its_process_with_it_is_told_and_the_others_go_on() -> None:
    with Crew(SMALL, jobs=2, work=die_of_one) as crew:
        outcomes = {outcome.seed: outcome for outcome in crew.outcomes(range(6))}
    failed = {seed: outcome.finding for seed, outcome in outcomes.items() if outcome.finding is not None}
    assert list(failed) == [DEADLY]
    assert (failed[DEADLY].check, failed[DEADLY].what) == (DIED, "its process ended with status 7")
    assert sum(outcome.tally.seeds for outcome in outcomes.values()) == 6


def test_a_process_that_says_nothing_is_ended() -> None:
    with Crew(SMALL, jobs=1, work=wait_for_nothing, wall_s=0.5) as crew:
        (outcome,) = crew.outcomes([17])
    assert outcome.finding is not None
    assert (outcome.seed, outcome.finding.check) == (17, DOES_NOT_END)
    assert not active_children()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the alarm rings while garbage is collected
def test_a_seed_that_uses_up_its_time_is_a_finding() -> None:
    with quiet():
        outcome = live_through(SMALL, 0, limit_s=0.001)
    assert outcome.finding is not None
    assert outcome.finding.check == DOES_NOT_END


def test_seeds_are_taken_only_when_somebody_is_free() -> None:
    taken: list[int] = []

    def seeds() -> object:
        for seed in range(100):
            taken.append(seed)
            yield seed

    with Crew(SMALL, jobs=1, work=count_only) as crew:
        for outcome in crew.outcomes(seeds()):  # type: ignore[arg-type]
            if outcome.seed == 4:
                break
    assert len(taken) <= 6
