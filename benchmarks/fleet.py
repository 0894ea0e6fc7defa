"""How the control plane grows: two fleets, ten times apart, each in a process of its own; and a start over 10,000 objects.

The ratio of two fleets' figures by the ratio of their sizes is 1 where growth is linear; more is worse. CPU is that of the
whole process, so what the simulated hosts and guests take is in it. On a machine that others use CPU time itself grows with
their load, by caches and clock rates; several rounds, of which the least counts, take most of that out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.fleet_run import GPUS_PER_HOST, Figures
from benchmarks.report import load, print_table, say
from benchmarks.rig import BenchError

SIZES = (500, 5000)
STORES = ("memory", "sqlite")
ROUNDS = 3
START_VMS = 3_077
"""With their claims, Secrets and hosts, 10,000 objects."""
GPUS_PER_VM = 2
"""Half of the fleet's GPUs stay free."""
LIMIT_S = 7200.0
HEADS = (
    "store",
    "GPUs",
    "VMs",
    "virtual s",
    "CPU s",
    "CPU ms/VM",
    "passes",
    "passes/s",
    "writes/VM",
    "peak MiB",
    "MiB/10,000 GPUs",
)


def run(
    *, sizes: Sequence[int] = SIZES, stores: Sequence[str] = STORES, rounds: int = ROUNDS, start_vms: int = START_VMS
) -> dict[tuple[str, int], list[Figures]]:
    """Measure and print; `sizes` are numbers of VMs.

    Raises:
        BenchError: a fleet did not come up.
    """
    measured: dict[tuple[str, int], list[Figures]] = {}
    for _ in range(rounds):
        for store in stores:
            for vms in sizes:
                measured.setdefault((store, vms), []).append(_in_a_process(store, vms))
    best = {which: _least(found) for which, found in measured.items()}
    print(f"fleet: all VMs applied at once until all are Ready; the least CPU of {rounds}; load {load()}")
    print_table(HEADS, [_row(figures) for figures in best.values()])
    for store in stores:
        _print_growth(best[store, min(sizes)], best[store, max(sizes)])
    _print_start(_in_a_process("sqlite", start_vms))
    return measured


def _in_a_process(store: str, vms: int) -> Figures:
    """So that peak memory is that of this fleet alone."""
    hosts = -(-vms * GPUS_PER_VM // GPUS_PER_HOST)
    argv = [sys.executable, "-m", "benchmarks.fleet_run", "--store", store, "--hosts", str(hosts), "--vms", str(vms)]
    try:
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{vms} VMs were not Ready within {LIMIT_S:.0f} s") from error
    if ended.returncode != 0:
        raise BenchError(f"{vms} VMs did not come up: {ended.stderr[-1000:]}")
    figures = Figures(**json.loads(ended.stdout))
    say(f"{store}, {vms} VMs: {1000 * figures.cpu_s / vms:.1f} ms CPU per VM, load {load()}")
    return figures


def _least(found: Sequence[Figures]) -> Figures:
    return min(found, key=lambda figures: figures.cpu_s)


def _row(found: Figures) -> tuple[str, ...]:
    return (
        found.store,
        str(found.gpus),
        str(found.vms),
        f"{found.virtual_s:.0f}",
        f"{found.cpu_s:.1f}",
        f"{1000 * found.cpu_s / found.vms:.1f}",
        str(found.passes),
        f"{found.passes / found.cpu_s:.0f}",
        f"{found.writes / found.vms:.1f}",
        f"{found.peak_mib:.0f}",
        f"{_fleet_mib(found) * 10_000 / found.gpus:.0f}",
    )


def _print_growth(small: Figures, large: Figures) -> None:
    by_size = large.vms / small.vms
    growth = {
        "virtual time": large.virtual_s / small.virtual_s / by_size,
        "CPU": large.cpu_s / small.cpu_s / by_size,
        "CPU with the hosts' part": _whole_cpu_s(large) / _whole_cpu_s(small) / by_size,
        "memory": _fleet_mib(large) / _fleet_mib(small) / by_size,
    }
    said = ", ".join(f"{name} {ratio:.2f}" for name, ratio in growth.items())
    print(f"growth, {large.store}, from {small.gpus} to {large.gpus} GPUs (1 is linear): {said}")


def _fleet_mib(figures: Figures) -> float:
    """What the fleet takes; a tiny one may fit into what was there before."""
    return max(1.0, figures.peak_mib - figures.empty_mib)


def _whole_cpu_s(figures: Figures) -> float:
    return figures.hosts_cpu_s + figures.cpu_s


def _print_start(found: Figures) -> None:
    print(
        f"start: a controller over {found.objects} objects in a SQLite file had listed them after {found.listed_s:.1f} s, "
        f"and had looked at each once after {found.started_s:.1f} s; load {load()}"
    )
