"""What a run says: progress while it goes on, each seed that fails with the command that replays it, the tally.

Progress goes to stderr, what is found to stdout; the last line of stdout has the figures, as text or as one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.simulation.happening import Happening
from tests.simulation.runner import Finding, Report
from tests.simulation.shrinking import Shrunk
from tests.simulation.trace import told_time

TERMINAL_EVERY_S = 0.5
PIPE_EVERY_S = 30.0
DEFAULT_SCENARIO = "day"


@dataclass(frozen=True, slots=True)
class Effort:
    """What was asked for, and what it took."""

    scenario: str
    asked: int
    jobs: int
    elapsed_s: float
    stopped: str = ""
    """Why it ended before all seeds were lived through."""


class Progress:
    """How far it is; a line that is written over on a terminal, a line every so often elsewhere."""

    def __init__(self, *, asked: int, every_s: float | None = None) -> None:
        self._asked = asked
        self._is_terminal = sys.stderr.isatty()
        self._every_s = every_s or (TERMINAL_EVERY_S if self._is_terminal else PIPE_EVERY_S)
        self._began_s = self._told_s = time.monotonic()

    def tell(self, report: Report) -> None:
        """Called after every seed."""
        now_s = time.monotonic()
        if now_s - self._told_s < self._every_s:
            return
        self._told_s = now_s
        seeds = report.tally.seeds
        rate = seeds / max(now_s - self._began_s, 1e-9)
        left = _span((self._asked - seeds) / rate) if rate else "unknown"
        line = f"{seeds} of {self._asked} seeds, {rate:.1f}/s, {left} left, {report.tally.violations} violations"
        text = f"\r\033[K{line}" if self._is_terminal else f"{line}\n"
        print(text, end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Make room on the terminal for something else."""
        if self._is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def replay_command(scenario: str, seed: int, happenings: Sequence[Happening] | None = None) -> str:
    """The one command that shows that seed, or that part of its plan, line by line."""
    named = "" if scenario == DEFAULT_SCENARIO else f" --scenario {scenario}"
    part = "" if happenings is None else f" --happenings {ranges(happening.number for happening in happenings)}"
    return f"python -m tests.simulation{named} --seed {seed}{part} --trace"


def failed(finding: Finding) -> str:
    """One line."""
    return f"seed {finding.seed} fails: {finding.check}: {finding.what}"


def shrunk_lines(scenario: str, shrunk: Shrunk, *, planned: int) -> list[str]:
    """What is left of a plan, what each did, and how to replay it."""
    told = dict(shrunk.finding.told)
    lines = [
        f"seed {shrunk.finding.seed}: {len(shrunk.happenings)} of {planned} happenings are enough ({shrunk.trials} trials)",
        f"  {shrunk.finding.check}: {shrunk.finding.what}",
    ]
    lines += [
        f"  {each.number:4} {told_time(each.at_s):>13}  {each.name}: {told.get(each.number, '')}" for each in shrunk.happenings
    ]
    return [*lines, f"  again: {replay_command(scenario, shrunk.finding.seed, shrunk.happenings)}"]


def last_line(report: Report, effort: Effort) -> str:
    """Seeds, events, faults injected, checker evaluations, violations; then what it took."""
    tally = report.tally
    days, rate = tally.virtual_s / 86400.0, tally.seeds / max(effort.elapsed_s, 1e-9)
    early = f"stopped {effort.stopped} with {tally.seeds:,} of {effort.asked:,} seeds; " if effort.stopped else ""
    return (
        f"{early}{tally.seeds:,} seeds, {tally.events:,} events, {tally.faults:,} faults injected, "
        f"{tally.checks:,} checker evaluations, {tally.violations:,} violations"
        f" ({effort.scenario}: {days:,.1f} days in {_span(effort.elapsed_s)}, {rate:.2f} seeds/s, {effort.jobs} jobs)"
    )


def as_json(report: Report, effort: Effort, shrunk: Iterable[Shrunk]) -> str:
    """One line."""
    parts = {each.finding.seed: each for each in shrunk}
    tally = report.tally
    told = {
        "scenario": effort.scenario,
        "seedsAsked": effort.asked,
        "seeds": tally.seeds,
        "events": tally.events,
        "faultsInjected": tally.faults,
        "checkerEvaluations": tally.checks,
        "violations": tally.violations,
        "virtualS": round(tally.virtual_s, 3),
        "elapsedS": round(effort.elapsed_s, 3),
        "jobs": effort.jobs,
        "stopped": effort.stopped,
        "findings": [_finding(effort.scenario, each, parts.get(each.seed)) for each in report.findings],
    }
    return json.dumps(told)


def _finding(scenario: str, finding: Finding, shrunk: Shrunk | None) -> dict[str, object]:
    happenings = None if shrunk is None else shrunk.happenings
    found: dict[str, object] = {"seed": finding.seed, "check": finding.check, "what": finding.what}
    if happenings is not None:
        found["happenings"] = [{"number": each.number, "atS": round(each.at_s, 3), "name": each.name} for each in happenings]
    return {**found, "replay": replay_command(scenario, finding.seed, happenings)}


def ranges(numbers: Iterable[int]) -> str:
    """`0-3,7,9-10`; `none` for no number."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs) or "none"


def _span(duration_s: float) -> str:
    hours, minutes = int(duration_s // 3600), int(duration_s // 60 % 60)
    return (
        f"{hours} h {minutes} min" if hours else f"{minutes} min {int(duration_s % 60)} s" if minutes else f"{duration_s:.1f} s"
    )
