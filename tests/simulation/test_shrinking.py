"""Shrinking finds the part of a plan that a failure needs, within its limits, and the answer is one that was seen to fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from random import Random
from weakref import WeakKeyDictionary

import pytest

from tests.simulation.happening import Happening, plan
from tests.simulation.made_up import acts
from tests.simulation.runner import Finding, live_through, quiet
from tests.simulation.scenario import Hosts, Scenario
from tests.simulation.shrinking import Attempt, shrink
from tests.simulation.universe import Universe
from tests.simulation.violation import Violation

PLAN = tuple(Happening(number, number * 10.0, 0, "something", number) for number in range(30))
CHECK = "some-check"


def fails_with(*numbers: int, check: str = CHECK) -> Attempt:
    """A plan fails if it has all of these."""

    def attempt(part: Sequence[Happening]) -> Finding | None:
        had = {each.number for each in part}
        return Finding(1, check, "it is wrong", tuple((each.number, "") for each in part)) if had >= set(numbers) else None

    return attempt


def shrunk_by(attempt: Attempt, *, trials_max: int = 80) -> tuple[list[int], int]:
    finding = attempt(PLAN)
    assert finding is not None
    shrunk = shrink(PLAN, finding, attempt, trials_max=trials_max)
    return [each.number for each in shrunk.happenings], shrunk.trials


@pytest.mark.parametrize("numbers", [(), (0,), (29,), (4, 17), (0, 1, 2), (3, 11, 12, 28), tuple(range(30))])
def test_what_is_left_is_what_it_needs(numbers: tuple[int, ...]) -> None:
    assert shrunk_by(fails_with(*numbers))[0] == list(numbers)


def test_what_had_not_struck_yet_is_left_out_at_once() -> None:
    tried: list[int] = []

    def attempt(part: Sequence[Happening]) -> Finding | None:
        tried.append(len(part))
        return fails_with(2)(part)

    shrink(PLAN, Finding(1, CHECK, "it is wrong", told=((0, ""), (1, ""), (2, ""))), attempt)
    assert tried[0] == 3


def test_another_failure_is_not_what_is_looked_for() -> None:
    def attempt(part: Sequence[Happening]) -> Finding | None:
        return fails_with(5, 9)(part) or fails_with(5, check="another-check")(part)

    assert shrunk_by(attempt)[0] == [5, 9]


def test_it_ends_when_it_has_tried_enough_with_what_it_has() -> None:
    numbers, trials = shrunk_by(fails_with(3, 11, 28), trials_max=6)
    assert trials == 6
    assert set(numbers) >= {3, 11, 28}


def test_it_ends_when_its_time_is_over() -> None:
    finding, ticks = fails_with(3, 28)(PLAN), count()
    assert finding is not None
    shrunk = shrink(PLAN, finding, fails_with(3, 28), seconds_max=4.0, spent_s=lambda: float(next(ticks)))
    assert 0 < shrunk.trials < 5
    assert {3, 28} <= {each.number for each in shrunk.happenings}


@pytest.fixture
def trap() -> Iterator[None]:
    """A bug that takes two to come out, in either order: nobody may walk where somebody digs."""
    seen: WeakKeyDictionary[Universe, set[str]] = WeakKeyDictionary()

    def see(universe: Universe, what: str) -> str:
        known = seen.setdefault(universe, set())
        known.add(what)
        if known == {"a pit", "a few steps"}:
            raise Violation("nobody-falls", "somebody fell")
        return what

    def dig(universe: Universe, _random: Random) -> str:
        return see(universe, "a pit")

    def walk(universe: Universe, _random: Random) -> str:
        return see(universe, "a few steps")

    def stand(_universe: Universe, _random: Random) -> str:
        return "nobody moves"

    with acts(dig, walk, stand):
        yield


@pytest.mark.usefixtures("trap")
def test_a_bug_that_takes_two_is_shrunk_to_two_and_replays() -> None:
    scenario = Scenario(
        name="pits",
        about="",
        hosts=(Hosts(count=1, preset="l40s"),),
        hours=1,
        happenings=30,
        weights={"dig": 1, "walk": 1, "stand": 2},
    )

    def attempt(part: Sequence[Happening]) -> Finding | None:
        return live_through(scenario, 3, happenings=part).finding

    planned = plan(scenario, 3)
    with quiet():
        finding = attempt(planned)
        assert finding is not None
        shrunk = shrink(planned, finding, attempt)
        assert sorted(each.name for each in shrunk.happenings) == ["dig", "walk"]
        assert attempt(shrunk.happenings) == shrunk.finding
    assert shrunk.finding.check == "nobody-falls"
    assert [what for _, what in shrunk.finding.told] in (["a pit", ""], ["a few steps", ""])
