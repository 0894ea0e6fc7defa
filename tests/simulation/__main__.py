"""Runs the simulation: many seeds on every core, or one of them with all that happens in it.

    python -m tests.simulation --seeds 1000                        seeds 0 to 999 of a day
    python -m tests.simulation --seed 17 --trace                   one of them, line by line
    python -m tests.simulation --seed 17 --happenings 0-3,7 --trace    a part of its plan, as shrinking found it

The last line has seeds, events, faults injected, checker evaluations and violations. Exit codes: 0 nothing was wrong,
1 a violation, 2 the command line is wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence

import yaml
from pydantic import ValidationError

from tests.simulation import telling
from tests.simulation.crew import Crew
from tests.simulation.happening import Happening, plan
from tests.simulation.happenings.all import ACTS
from tests.simulation.runner import SEED_LIMIT_S, Finding, Report, live_through, quiet
from tests.simulation.scenario import DIRECTORY, Scenario, read_scenario
from tests.simulation.shrinking import SECONDS_MAX, Shrunk, shrink
from tests.simulation.trace import Trace

SEEDS = 1000
SHRUNK_MAX = 3
"""So many seeds that fail are shrunk, each with a check of its own first; the others are named only."""
LATER_S = 3600.0
"""By how much later than the whole plan a part of it may fail, in virtual time; without a limit most trials last a day."""
TOLD_MAX = 20
UNSHRUNK = frozenset({"does-not-end", "process-died"})
"""Each trial of those takes too long, or takes the process with it."""
INTERRUPTED = 130
BY_HAND = "by a signal"


def main(words: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = arguments()
    given = parser.parse_args(words)
    try:
        scenario = _scenario(given.scenario)
        part = None if given.happenings is None else _part(plan(scenario, given.seed or 0), given.happenings)
    except ValueError as error:
        parser.error(str(error))
    if given.seed is None and (given.trace or part is not None):
        parser.error("--trace and --happenings are for one seed: --seed N")
    if given.trace and given.output == "json":
        parser.error("--trace writes text; it cannot be had with -o json")
    return _one(given, scenario, part) if given.seed is not None else _many(given, scenario)


def _one(given: argparse.Namespace, scenario: Scenario, part: Sequence[Happening] | None) -> int:
    began_s = time.monotonic()
    report = Report()
    with contextlib.nullcontext() if given.trace else quiet():
        trace = Trace(print) if given.trace else None
        report.add(live_through(scenario, given.seed, happenings=part, trace=trace, limit_s=given.limit))
        shrunk = [] if given.trace or part is not None else _shrink(scenario, report.findings)
    _tell_findings(given, scenario, report.findings, shrunk)
    return _end(given, report, shrunk, began_s=began_s, asked=1, jobs=1)


def _many(given: argparse.Namespace, scenario: Scenario) -> int:
    began_s = time.monotonic()
    report, progress, stopped = Report(), telling.Progress(asked=given.seeds, every_s=given.every), ""
    ends_s = began_s + given.minutes * 60.0
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends it wants to know how far it came
    try:
        with Crew(scenario, jobs=given.jobs, limit_s=given.limit) as crew:
            for outcome in crew.outcomes(_until(ends_s, range(given.first, given.first + given.seeds))):
                report.add(outcome)
                progress.tell(report)
    except KeyboardInterrupt:
        stopped = BY_HAND
    finally:
        signal.signal(signal.SIGTERM, before)
    if report.tally.seeds < given.seeds:
        stopped = stopped or f"after {given.minutes:g} minutes"
    progress.clear()
    with quiet():
        shrunk = [] if stopped == BY_HAND else _shrink(scenario, report.findings)
    _tell_findings(given, scenario, report.findings, shrunk)
    code = _end(given, report, shrunk, began_s=began_s, asked=given.seeds, jobs=given.jobs, stopped=stopped)
    return INTERRUPTED if stopped == BY_HAND and code == 0 else code


def _until(ends_s: float, seeds: Sequence[int]) -> Iterator[int]:
    for seed in seeds:
        if time.monotonic() >= ends_s:
            return
        yield seed


def _shrink(scenario: Scenario, findings: Sequence[Finding]) -> list[Shrunk]:
    """The first seed of each check, up to so many."""
    first: dict[str, Finding] = {}
    for finding in findings:
        if finding.check not in UNSHRUNK:
            first.setdefault(finding.check, finding)
    return [_shrunk(scenario, finding) for finding in list(first.values())[:SHRUNK_MAX]]


def _shrunk(scenario: Scenario, finding: Finding) -> Shrunk:
    stops_s = finding.at_s + LATER_S if finding.at_s < scenario.duration_s else float("inf")

    def attempt(part: Sequence[Happening]) -> Finding | None:
        return live_through(scenario, finding.seed, happenings=part, limit_s=SECONDS_MAX, stops_s=stops_s).finding

    return shrink(plan(scenario, finding.seed), finding, attempt)


def _tell_findings(
    given: argparse.Namespace, scenario: Scenario, findings: Sequence[Finding], shrunk: Sequence[Shrunk]
) -> None:
    if given.output == "json":
        return
    seeds = {each.finding.seed for each in shrunk}
    for finding in findings[:TOLD_MAX]:
        print(telling.failed(finding))
        if finding.seed not in seeds and not given.trace:
            print(f"  again: {telling.replay_command(given.scenario, finding.seed)}")
    if len(findings) > TOLD_MAX:
        print(f"and {len(findings) - TOLD_MAX} more: {telling.ranges(finding.seed for finding in findings[TOLD_MAX:])}")
    for each in shrunk:
        print("\n".join(telling.shrunk_lines(given.scenario, each, planned=scenario.happenings)))


def _end(
    given: argparse.Namespace,
    report: Report,
    shrunk: Sequence[Shrunk],
    *,
    began_s: float,
    asked: int,
    jobs: int,
    stopped: str = "",
) -> int:
    effort = telling.Effort(given.scenario, asked, jobs, time.monotonic() - began_s, stopped)
    is_json = given.output == "json"
    print(telling.as_json(report, effort, shrunk) if is_json else telling.last_line(report, effort), flush=True)
    return 1 if report.tally.violations else 0


def _scenario(name: str) -> Scenario:
    try:
        scenario = read_scenario(name)
    except FileNotFoundError:
        known = ", ".join(sorted(path.stem for path in DIRECTORY.glob("*.yaml")))
        raise ValueError(f"there is no scenario {name!r}; there are {known}, or name a .yaml file") from None
    except (ValidationError, yaml.YAMLError, TypeError) as error:
        raise ValueError(f"scenario {name!r} cannot be read: {error}") from error
    if unknown := sorted(set(scenario.weights) - set(ACTS)):
        raise ValueError(f"scenario {name!r} has weights for what cannot happen: {', '.join(unknown)}")
    return scenario


def _part(planned: Sequence[Happening], numbers: str) -> tuple[Happening, ...]:
    """Those of the plan with these numbers, as `0-3,7` or `none`."""
    runs: list[tuple[int, int]] = []
    for word in [] if numbers == "none" else numbers.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", word.strip())
        if found is None:
            raise ValueError(f"--happenings {numbers}: {word!r} is no number nor range; write 0-3,7 or none")
        runs.append((int(found[1]), int(found[2] or found[1])))
    if any(last >= len(planned) or first > last for first, last in runs):
        raise ValueError(f"--happenings {numbers}: the plan has numbers from 0 to {len(planned) - 1}")
    return tuple(each for each in planned if any(first <= each.number <= last for first, last in runs))


def arguments() -> argparse.ArgumentParser:
    """What the command line takes."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenario", default=telling.DEFAULT_SCENARIO, help="of tests/simulation/scenarios, or a .yaml file")
    parser.add_argument("--seeds", type=_above_zero, default=SEEDS, help=f"how many; {SEEDS} unless told")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=_above_zero, default=os.cpu_count() or 1, help="worker processes; one for each core")
    parser.add_argument("--minutes", type=_more_than_zero, default=float("inf"), help="begin no seed after that")
    parser.add_argument("--limit", type=_more_than_zero, default=SEED_LIMIT_S, help="seconds of CPU that one seed may take")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--happenings", help="with --seed: only those of its plan, as 0-3,7, or none")
    parser.add_argument("--trace", action="store_true", help="with --seed: tell what happens")
    parser.add_argument("--every", type=_more_than_zero, help="seconds between two lines of progress; inf for none")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="of the last line")
    return parser


def _above_zero(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def _more_than_zero(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
