"""The simulation finds bugs: each of those that are planted here, by checks that were written for none of them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.simulation.bugs import BUGS, Bug, plant
from tests.simulation.bugs.__main__ import main
from tests.simulation.bugs.hunting import SEEDS_MAX, hunt, without_bugs
from tests.simulation.bugs.planting import DoesNotFit, Member, planted, wrong_function
from tests.simulation.violation import Violation

BUGS_AT_LEAST = 16

every_bug = pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())


@every_bug
def test_a_bug_is_found_and_without_it_nothing_is(bug: Bug, record_property: Callable[[str, object], None]) -> None:
    catch = hunt(bug, range(SEEDS_MAX))
    assert catch is not None, f"{SEEDS_MAX} seeds of {bug.scenario} do not find that {bug.about}"
    record_property("seeds", catch.seeds)
    record_property("check", catch.finding.check)
    assert catch.finding.check in bug.found_by, catch.finding
    assert without_bugs(bug.scenario, catch.finding.seed) is None


def test_there_are_many_bugs_of_many_kinds() -> None:
    assert len(BUGS) >= BUGS_AT_LEAST
    assert len({str(bug.place) for bug in BUGS.values()}) >= BUGS_AT_LEAST


@every_bug
def test_a_bug_is_taken_out_as_it_was_put_in(bug: Bug) -> None:
    before = bug.place.look()
    with contextlib.suppress(Violation), plant(bug.name):
        assert bug.place.look() is not before
        raise Violation("some-check", "something that the bug has brought about")
    assert bug.place.look() is before


def test_the_table_has_a_line_for_a_bug_and_says_how_soon_it_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ready-before-the-report", "--seeds", "50"]) == 0
    *_, line = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\| `ready-before-the-report` \| A VM is Ready .* \| `proof-is-true` \| \d+ \|", line)


def test_a_bug_that_nobody_knows_is_a_mistake_in_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["raise-conditions"])
    assert "there is no bug raise-conditions" in capsys.readouterr().err


def test_a_bug_stands_in_for_what_is_right_and_may_ask_it() -> None:
    code = _production_code()
    with planted(_bug(code, lambda right, name, *, times: right(name, times=times + 1))):
        assert code.greet("Ada", times=1) == "hello Ada hello Ada"
    assert code.greet("Ada", times=1) == "hello Ada"


def test_a_bug_whose_place_has_gone_cannot_be_planted() -> None:
    code = _production_code()
    bug = _bug(code, lambda right, name, *, times: "")
    del code.greet
    with pytest.raises(DoesNotFit, match="there is no code\\.greet"), planted(bug):
        pass


@pytest.mark.parametrize(
    "wrong",
    [
        lambda right, name: "",
        lambda right, name, times: "",
        lambda right, whom, *, times: "",
        lambda right, name, *, times, loudly=False: "",
    ],
    ids=["fewer", "of another kind", "of another name", "more"],
)
def test_a_bug_that_does_not_know_its_parameters_cannot_be_planted(wrong: Callable[..., str]) -> None:
    code = _production_code()
    with pytest.raises(DoesNotFit, match="knows the parameters"), planted(_bug(code, wrong)):
        pass
    assert code.greet("Ada", times=1) == "hello Ada"


def test_nobody_else_changes_the_place_of_a_planted_bug() -> None:
    code = _production_code()
    right = code.greet
    with pytest.raises(DoesNotFit, match="meanwhile"), planted(_bug(code, lambda right, name, *, times: "")):
        code.greet = "something else"
    assert code.greet is right


def _production_code() -> Any:
    def greet(name: str, *, times: int) -> str:
        return " ".join([f"hello {name}"] * times)

    return SimpleNamespace(__name__="code", greet=greet)


def _bug(code: Any, wrong: Callable[..., str]) -> Bug:
    return Bug("rude", "It does not greet.", ("some-check",), "bugs", Member(code, "greet"), wrong_function(wrong))
