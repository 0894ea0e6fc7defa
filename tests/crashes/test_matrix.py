"""The crash matrix in the twin: whatever the step, the next controller goes on, and finds what does not depend on the past."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crashes.moments import BACKWARDS, FORWARDS, HOMEWARDS, MATRIX, Moment
from tests.crashes.outcome import Outcome
from tests.crashes.play import GONE, UP, Played, differences, play
from tests.crashes.scenes import one_l40s


@pytest.fixture(scope="module")
def one_life(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """What is seen when every moment is met in one life of the VM."""
    return play(one_l40s(tmp_path_factory.mktemp("one-life")))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """What is seen when the controller never dies."""
    stage, played = one_l40s(tmp_path_factory.mktemp("undisturbed")), Played()
    stage.create()
    assert not stage.live(None)
    played.note(UP, stage.look())
    stage.delete()
    assert not stage.live(None)
    played.note(GONE, stage.look())
    return played


def test_every_moment_of_both_tables_is_met(one_life: Played) -> None:
    assert list(one_life.outcomes) == [*map(str, FORWARDS), UP, *map(str, BACKWARDS), *map(str, HOMEWARDS), GONE]
    assert one_life.survived == []


def test_it_ends_as_if_nobody_had_died(one_life: Played, undisturbed: Played) -> None:
    assert differences(one_life, undisturbed, names=("mortal", "undisturbed")) == []
    assert "0 failures" in one_life.outcomes[UP].machine
    assert "Ready True Done" in one_life.outcomes[UP].conditions
    assert one_life.outcomes[UP].drivers == ("card 0 function 0: vfio", "card 0 function 1: vfio")


def test_nothing_is_left_but_the_image_and_the_history(one_life: Played) -> None:
    gone = one_life.outcomes[GONE]
    assert gone.but("drivers", "volumes", "history") == Outcome()
    assert gone.drivers == ("card 0 function 0: its own", "card 0 function 1: its own")
    assert gone.volumes == ("base",)
    assert [fact for fact in gone.history if "had it" in fact] == ["tenant 0: had it, Free"]


@pytest.mark.parametrize("moment", MATRIX, ids=str)
def test_what_is_found_after_a_crash_does_not_depend_on_earlier_ones(
    tmp_path: Path, one_life: Played, undisturbed: Played, moment: Moment
) -> None:
    stage = one_l40s(tmp_path)
    only = {moment.direction: [moment]}
    played = play(
        stage,
        forwards=only.get("after", []),
        backwards=only.get("undone", []),
        homewards=only.get("home", []),
    )
    assert str(moment) in played.outcomes
    assert differences(played, one_life, names=("alone", "one of many")) == []


def test_a_difference_is_told_by_moment_and_field() -> None:
    one, other = Played(), Played()
    one.note("after:disk", Outcome(domain=("off",), volumes=("base", "system")))
    one.note("after:seed", Outcome())
    other.note("after:disk", Outcome(domain=("running",), volumes=("base", "base", "system")))
    told = differences(one, other, names=("real", "simulated"))
    assert told == [
        "after:disk domain: only real: off; only simulated: running",
        "after:disk volumes: only simulated: base",
    ]
