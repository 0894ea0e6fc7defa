"""A seed is one run: line by line the same in every process, with a trace and without; another seed is another run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.simulation.happening import Happening, plan
from tests.simulation.made_up import acts
from tests.simulation.runner import live_through, quiet
from tests.simulation.scenario import Hosts, Scenario, read_scenario
from tests.simulation.trace import Trace, told_time
from tests.simulation.universe import Universe
from tests.simulation.violation import Violation

ROOT = Path(__file__).parents[2]
LIMIT_S = 100.0
DAY = read_scenario("day")
HOUR = Scenario(
    name="hour",
    about="Whatever may happen in a day, to three hosts in three hours.",
    hosts=(Hosts(count=2, preset="l40s"), Hosts(count=1, preset="two-nodes")),
    hours=3,
    happenings=20,
    machines=4,
    interleaving=0.03,
    weights=DAY.weights,
)


def traced(seed: int, happenings: tuple[Happening, ...] | None = None) -> list[str]:
    lines: list[str] = []
    live_through(HOUR, seed, happenings=happenings, trace=Trace(lines.append))
    return lines


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "hour.yaml"
    path.write_text(HOUR.model_dump_json(exclude={"name"}))
    return path


@pytest.mark.parametrize("seed", [1, 3])
def test_a_seed_is_the_same_run_in_every_process(seed: int, written: Path) -> None:
    words = [sys.executable, "-m", "tests.simulation", "--scenario", str(written), "--seed", str(seed), "--trace"]
    told = []
    for hash_seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, timeout=LIMIT_S, check=False)
        told.append(run.stdout.splitlines()[:-1])  # the last line says how long it took
    assert told[0] == told[1]
    assert len(told[0]) > 40


def test_another_seed_is_another_run() -> None:
    assert traced(1) != traced(2)


def test_a_beginning_of_a_plan_is_the_beginning_of_the_run() -> None:
    planned = plan(HOUR, 4)
    until = planned[14].at_s
    beginning, whole = (before(until, told) for told in (traced(4, planned[:15]), traced(4)))
    assert len(beginning) > 30
    assert beginning == whole


def test_a_part_of_a_plan_is_what_was_chosen_and_replays() -> None:
    planned = plan(HOUR, 4)
    part = (planned[2], planned[7], planned[11])
    told = traced(4, part)
    assert told == traced(4, part)
    assert {line.split()[2] for line in told if " happening " in line} == {"2", "7", "11"}


def test_the_run_is_the_same_without_a_trace() -> None:
    with quiet():
        outcome = live_through(HOUR, 5)
    assert outcome == live_through(HOUR, 5, trace=Trace(lambda _: None))


def test_a_violation_is_told_with_what_stands_around_it() -> None:
    def fall(_universe: Universe, _random: Random) -> str:
        raise Violation("nobody-falls", "somebody fell on h02")

    scenario = HOUR.model_copy(update={"weights": {"create": 3, "fall": 1}})
    told: list[str] = []
    with acts(fall):
        outcome = live_through(scenario, 6, trace=Trace(told.append))
    assert outcome.finding is not None
    where = next(index for index, line in enumerate(told) if "VIOLATION" in line)
    assert "nobody-falls: somebody fell on h02" in told[where]
    assert [
        word for word in ("GPUHost h02: ", "host h02: link up", "process #1") if not any(word in line for line in told[where:])
    ] == []


def test_a_trace_that_never_began_has_nothing_to_say() -> None:
    Trace(pytest.fail).end(Violation("some-check", "before anything was there"))


def before(time_s: float, told: list[str]) -> list[str]:
    """The lines of what came before that time."""
    return [line for line in told if line[:13].strip() and line[:13] < f"{told_time(time_s):>13}"]
