"""How results are printed: plain tables on stdout, with the machine that they were measured on. Progress goes to stderr."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from collections.abc import Sequence
from statistics import median


def say(line: str) -> None:
    """One line of progress."""
    print(f"bench: {line}", file=sys.stderr, flush=True)


def print_machine() -> None:
    """What the numbers were measured on. A load near or above the number of cores means: somebody else was running too."""
    print(
        f"machine: {os.cpu_count()} cores, {_cpu_model()}, Python {platform.python_version()}, {_libvirt_version()}, "
        f"SQLite {sqlite3.sqlite_version}; load {load()}"
    )


def load() -> str:
    """The load averages of 1, 5 and 15 minutes."""
    return " ".join(f"{average:.1f}" for average in os.getloadavg())


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they must be, numbers to the right, the first column to the left."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    for row in (heads, *rows):
        first, *others = (text.rjust(width) for text, width in zip(row, widths, strict=True))
        print("  ".join([first.strip().ljust(widths[0]), *others]).rstrip())
    sys.stdout.flush()


def middle(values: Sequence[float]) -> float:
    """The median."""
    return float(median(values))


def spread(values: Sequence[float], *, digits: int = 1) -> str:
    """The median, and from where to where, if there are several."""
    text = f"{middle(values):.{digits}f}"
    return text if len(values) < 2 else f"{text} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def _libvirt_version() -> str:
    """Not every benchmark needs it."""
    try:
        import libvirt
    except ImportError:
        return "no libvirt"
    number = libvirt.getVersion()
    return f"libvirt {number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    except OSError:
        return platform.machine()
