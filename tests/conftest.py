"""The end of every test run: what could not run here and why, where time went by folder, and whether KVM was used."""

from __future__ import annotations

from collections import Counter

import pytest

from provisioner.lab import find_images
from provisioner.lab.accelerator import probe_kvm

FOLDERS_SHOWN = 12


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was skipped, once per reason."""
    _say_where_time_went(terminalreporter)
    skipped = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if skipped:
        terminalreporter.section("could not run here")
        for reason, count in sorted(skipped.items()):
            terminalreporter.line(f"{count:4}  {reason}")
    if (images := find_images()) is not None:
        terminalreporter.line(f"KVM: {probe_kvm(images).finding}")


def _reason(report: pytest.TestReport) -> str:
    folder = "/".join(report.nodeid.split("::")[0].split("/")[1:-1]) or report.nodeid
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return f"{folder}: {text.removeprefix('Skipped: ')}"


def _say_where_time_went(terminalreporter: pytest.TerminalReporter) -> None:
    spent: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                spent["/".join(report.nodeid.split("/")[:2])] += report.duration  # type: ignore[assignment]
    if spent:
        told = ", ".join(f"{folder} {duration_s:.0f} s" for folder, duration_s in spent.most_common(FOLDERS_SHOWN))
        terminalreporter.line(f"time: {told}")
