"""`python -m tests.simulation`: what it prints, what it exits with, and that the command which it names replays a seed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import pages
from tests.simulation.__main__ import arguments, main

ROOT = Path(__file__).parents[2]
LIMIT_S = 60.0
FIGURES = re.compile(
    r"(?P<seeds>[\d,]+) seeds, (?P<events>[\d,]+) events, (?P<faults>[\d,]+) faults injected,"
    r" (?P<checks>[\d,]+) checker evaluations, (?P<violations>[\d,]+) violations \(.* seeds/s, \d+ jobs\)$"
)
SMALL = """
about: A host and an hour.
hosts:
  - {count: 1, preset: l40s}
hours: 1
happenings: 3
weights: {create: 2, delete: 1}
"""


@pytest.fixture
def small(tmp_path: Path) -> str:
    """A scenario that is over in a moment."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return str(path)


def simulate(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "tests.simulation", *words]


def last_line(told: str) -> dict[str, int]:
    found = FIGURES.search(told.splitlines()[-1])
    assert found, told
    return {name: int(figure.replace(",", "")) for name, figure in found.groupdict().items()}


def test_the_last_line_has_the_figures_and_nothing_wrong_is_exit_0(small: str) -> None:
    run = simulate("--scenario", small, "--seeds", "4", "--first", "10")
    assert run.returncode == 0, run.stdout + run.stderr
    figures = last_line(run.stdout)
    assert (figures["seeds"], figures["violations"]) == (4, 0)
    assert figures["events"] > 0
    assert figures["checks"] > figures["events"]
    assert len(run.stdout.splitlines()) == 1


def test_a_violation_is_exit_1_and_told_with_the_command_that_replays_it(small: str) -> None:
    run = simulate("--scenario", small, "--seeds", "2", "--limit", "0.001")
    assert run.returncode == 1
    assert last_line(run.stdout)["violations"] == 2
    assert "seed 1 fails: does-not-end: " in run.stdout
    assert f"  again: python -m tests.simulation --scenario {small} --seed 1 --trace\n" in run.stdout


def test_json_is_one_line(small: str) -> None:
    run = simulate("--scenario", small, "--seeds", "2", "--limit", "0.001", "-o", "json")
    told = json.loads(run.stdout)
    assert run.stdout.count("\n") == 1
    assert (run.returncode, told["seeds"], told["violations"]) == (1, 2, 2)
    assert set(told) >= {"events", "faultsInjected", "checkerEvaluations", "virtualS", "elapsedS", "jobs", "stopped"}
    assert [found["seed"] for found in told["findings"]] == [0, 1]
    assert told["findings"][1]["replay"] == f"python -m tests.simulation --scenario {small} --seed 1 --trace"


def test_one_seed_and_a_part_of_its_plan_are_traced(small: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenario", small, "--seed", "3", "--trace"]) == 0
    whole = capsys.readouterr().out
    assert main(["--scenario", small, "--seed", "3", "--happenings", "0,2", "--trace"]) == 0
    part = capsys.readouterr().out
    assert sorted(re.findall(r"happening (\d)", whole)) == ["0", "1", "2"]
    assert sorted(re.findall(r"happening (\d)", part)) == ["0", "2"]
    assert last_line(part)["seeds"] == 1


def test_when_its_minutes_are_over_it_begins_no_seed_and_says_so(small: str) -> None:
    run = simulate("--scenario", small, "--seeds", "100000", "--minutes", "0.03")
    figures = last_line(run.stdout)
    assert run.returncode == 0
    assert 0 <= figures["seeds"] < 100_000
    assert run.stdout.startswith(f"stopped after 0.03 minutes with {figures['seeds']:,} of 100,000 seeds; ")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["interrupted", "terminated"])
def test_whoever_stops_it_is_told_how_far_it_came(small: str, how: signal.Signals) -> None:
    words = command("--scenario", small, "--seeds", "1000000", "--jobs", "2", "--every", "0.1")
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert re.match(r"\d+ of 1000000 seeds, ", process.stderr.readline())
    os.kill(process.pid, how)
    told, complaints = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, told + complaints
    assert told.startswith("stopped by a signal with ")
    assert last_line(told)["seeds"] > 0
    assert "Traceback" not in complaints


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--scenario", "nowhere"], "there is no scenario 'nowhere'; there are "),
        (["--seed", "1", "--happenings", "0-x"], "'0-x' is no number nor range; write 0-3,7 or none"),
        (["--seed", "1", "--happenings", "0-99999999999"], "the plan has numbers from 0 to "),
        (["--trace"], "--trace and --happenings are for one seed: --seed N"),
        (["--happenings", "0"], "--trace and --happenings are for one seed: --seed N"),
        (["--seed", "1", "--trace", "-o", "json"], "--trace writes text; it cannot be had with -o json"),
        (["--seeds", "0"], "0 is less than 1"),
        (["--jobs", "two"], "argument --jobs: invalid "),
        (["--minutes", "0"], "0 is not more than 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_line_that_is_wrong_is_told_why(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    told = capsys.readouterr()
    assert (end.value.code, told.out) == (2, "")
    assert complaint in told.err


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("about: no hosts", "hosts\n  Field required"),
        (SMALL + "moons: 2", "Extra inputs are not permitted"),
        (SMALL.replace("create: 2", "creat: 2"), "has weights for what cannot happen: creat"),
        ("- a list", "cannot be read"),
        ("{", "cannot be read"),
    ],
)
def test_a_scenario_that_is_wrong_is_told_why(
    tmp_path: Path, written: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(written)
    with pytest.raises(SystemExit) as end:
        main(["--scenario", str(path)])
    assert end.value.code == 2
    assert complaint in capsys.readouterr().err


def test_the_commands_of_the_documents_are_ones_that_it_knows() -> None:
    start = "python -m tests.simulation "
    named = [line.split("  ")[0] for page in pages() for line in page.shell_lines() if line.startswith(start)]
    assert len(named) > 3
    for line in named:
        assert arguments().parse_args(line.removeprefix(start).split())
