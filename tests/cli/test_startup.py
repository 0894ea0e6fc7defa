"""What a command costs before it does anything: processor time of the child, beside a Python that does nothing.

Processor time instead of the clock, since other work on the machine stretches the clock. The bounds of 150 ms for
--help and 300 ms for a list above `python -c pass` hold by the clock too on an idle machine; both are printed.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from tests.cli.conftest import COMMAND, ROOT, Hikube

ROUNDS = 7
HELP_CPU_S_MAX = 0.150
LIST_CPU_S_MAX = 0.300
HEAVY = ("pydantic", "rich", "yaml", "libvirt", "paramiko", "cryptography", "httpx", "jinja2", "kubernetes", "pycdlib")


@dataclass(frozen=True)
class Cost:
    """Medians of several runs, seconds."""

    cpu_s: float
    wall_s: float

    def above(self, floor: Cost) -> Cost:
        return Cost(self.cpu_s - floor.cpu_s, self.wall_s - floor.wall_s)


def cost_of(argv: list[str]) -> Cost:
    cpu, wall = [], []
    for _ in range(ROUNDS):
        before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall.append(time.perf_counter() - began_s)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return Cost(statistics.median(cpu), statistics.median(wall))


@pytest.mark.slow
def test_help_and_list_start_quickly(hikube: Hikube, capsys: pytest.CaptureFixture[str]) -> None:
    hikube("gpu", "vm", "list")  # makes the store, once
    floor = cost_of([sys.executable, "-c", "pass"])
    costs = {
        "hikube --help": cost_of([*COMMAND, "--help"]).above(floor),
        "hikube gpu vm list": cost_of([*COMMAND, "gpu", "vm", "list"]).above(floor),
    }
    with capsys.disabled():
        for name, cost in costs.items():
            print(f"\n{name}: {cost.cpu_s * 1000:.0f} ms of CPU, {cost.wall_s * 1000:.0f} ms above `python -c pass`", end="")
    assert costs["hikube --help"].cpu_s <= HELP_CPU_S_MAX
    assert costs["hikube gpu vm list"].cpu_s <= LIST_CPU_S_MAX


@pytest.mark.parametrize("arguments", [["--help"], ["gpu", "vm", "list"], ["gpu", "vm", "list", "-o", "json"], ["get", "vm"]])
def test_quick_commands_import_nothing_heavy(hikube: Hikube, arguments: list[str]) -> None:
    script = (
        "import sys, json; from cli.main import run; code = run(sys.argv[1:]);"
        "sys.stderr.write('\\n' + json.dumps([code, sorted({name.partition('.')[0] for name in sys.modules})]))"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    assert not set(HEAVY) & set(modules)
