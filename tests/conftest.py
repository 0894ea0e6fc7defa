"""The end of every test run: what could not run here and why, where time went, and whether KVM was used.

And its beginning: whoever runs the tests in the background has them ignore Ctrl-C, and every command that they start inherits
that; commands under test shall be as they are at a terminal.
"""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from provisioner.lab import find_images
from provisioner.lab.accelerator import probe_kvm

NAMES_SHOWN = 12
SLOW_FILE_S = 10.0


def pytest_configure() -> None:
    """In every worker."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
    """By folder and by file, as long as the tests themselves took; workers spend it side by side."""
    folders: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                path = report.nodeid.split("::")[0]
                for spent, name in ((folders, "/".join(path.split("/")[:2])), (files, path.removeprefix("tests/"))):
                    spent[name] += report.duration  # type: ignore[assignment]
    _say_spent(terminalreporter, "time", folders)
    _say_spent(terminalreporter, "slowest files", Counter({name: s for name, s in files.items() if s >= SLOW_FILE_S}))


def _say_spent(terminalreporter: pytest.TerminalReporter, what: str, spent: Counter[str]) -> None:
    if spent:
        told = ", ".join(f"{name} {duration_s:.0f} s" for name, duration_s in spent.most_common(NAMES_SHOWN))
        terminalreporter.line(f"{what}: {told}")
