"""What the control plane costs per VM, beside the raw libvirt calls for the same VMs.

For each size in turn, several times: hikube takes N VMs from `apply` to all Ready and from `delete` to all gone; then a bare
script makes the raw calls with the XML that hikube made. Guests answer at once and disks are simulated on hikube's side; the
bare script has neither, so hikube's figure also holds what it does besides: claims, keys, seeds, proofs, events, and a database
on a disk.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.meters import Cost, counted_libvirt_calls, metered
from benchmarks.raw_calls import RawCalls
from benchmarks.report import load, middle, print_table, say, spread
from benchmarks.rig import Rig
from provisioner.lifecycle.assembly import WORKERS

SIZES = (1, 100, 1000)
ROUNDS = 3
COUNTED_VMS = 16
TIMEOUT_S = 1800.0
HEADS = (
    "VMs",
    "hikube ms/VM",
    "up",
    "down",
    "raw ms/VM",
    "ratio",
    "hikube CPU ms/VM",
    "raw CPU ms/VM",
    "CPU ratio",
    "writes/VM",
)


@dataclass(slots=True)
class Round:
    """One round of one size."""

    vms: int
    up: Cost = field(default_factory=Cost)
    down: Cost = field(default_factory=Cost)
    raw: Cost = field(default_factory=Cost)
    writes: int = 0

    @property
    def hikube_ms(self) -> float:
        """Wall time per VM, up and down."""
        return 1000 * (self.up.wall_s + self.down.wall_s) / self.vms

    @property
    def raw_ms(self) -> float:
        """Wall time per VM of the bare script."""
        return 1000 * self.raw.wall_s / self.vms

    @property
    def hikube_cpu_ms(self) -> float:
        """CPU time per VM, up and down, of all threads."""
        return 1000 * (self.up.cpu_s + self.down.cpu_s) / self.vms

    @property
    def raw_cpu_ms(self) -> float:
        """CPU time per VM of the bare script."""
        return 1000 * self.raw.cpu_s / self.vms


def run(*, sizes: Sequence[int] = SIZES, rounds: int = ROUNDS, workers: int = WORKERS) -> dict[int, list[Round]]:
    """Measure and print."""
    measured: dict[int, list[Round]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size in sizes:
            measured[size].append(_round(size, workers=workers))
    print(f"control plane: apply -> Ready -> delete -> gone; median of {rounds}, {workers} workers; load {load()}")
    print_table(HEADS, [_row(size, found) for size, found in measured.items()])
    _print_calls(workers)
    _print_growth(measured)
    return measured


def _round(vms: int, *, workers: int) -> Round:
    result = Round(vms)
    with tempfile.TemporaryDirectory(prefix="hikube-bench-") as directory:
        rig = Rig(Path(directory), vms=vms, workers=workers)
        try:
            before = rig.store.writes
            with metered() as result.up:
                rig.bring_up(timeout_s=TIMEOUT_S)
            with metered() as result.down:
                rig.tear_down(timeout_s=TIMEOUT_S)
            result.writes = rig.store.writes - before
            result.raw = _raw(rig.defined)
        finally:
            rig.close()
    say(f"{vms} VMs: hikube {result.hikube_ms:.1f} ms/VM, raw {result.raw_ms:.1f} ms/VM, load {load()}")
    return result


def _raw(documents: dict[str, str]) -> Cost:
    raw = RawCalls()
    try:
        with metered() as cost:
            raw.bring_up(documents)
            raw.tear_down(documents)
    finally:
        raw.close()
    return cost


def _row(size: int, rounds: Sequence[Round]) -> tuple[str, ...]:
    hikube, raw = [each.hikube_ms for each in rounds], [each.raw_ms for each in rounds]
    hikube_cpu, raw_cpu = [each.hikube_cpu_ms for each in rounds], [each.raw_cpu_ms for each in rounds]
    return (
        str(size),
        spread(hikube),
        f"{middle([1000 * each.up.wall_s / size for each in rounds]):.1f}",
        f"{middle([1000 * each.down.wall_s / size for each in rounds]):.1f}",
        spread(raw),
        f"{middle([one.hikube_ms / one.raw_ms for one in rounds]):.1f}",
        f"{middle(hikube_cpu):.1f}",
        f"{middle(raw_cpu):.1f}",
        f"{middle(hikube_cpu) / middle(raw_cpu):.1f}",
        f"{middle([each.writes / size for each in rounds]):.1f}",
    )


def _print_calls(workers: int) -> None:
    """Calls into libvirt per VM, counted apart because counting costs time."""
    with tempfile.TemporaryDirectory(prefix="hikube-bench-") as directory, counted_libvirt_calls() as counts:
        rig = Rig(Path(directory), vms=COUNTED_VMS, workers=workers)
        before = counts()
        rig.bring_up(timeout_s=TIMEOUT_S)
        rig.tear_down(timeout_s=TIMEOUT_S)
        hikube = counts() - before
        before = counts()
        _raw(rig.defined)
        raw = counts() - before
        rig.close()
    print(f"libvirt calls per VM, over {COUNTED_VMS} VMs: hikube {_per_vm(hikube)}")
    print(f"                                     raw    {_per_vm(raw)}")


def _per_vm(counts: Counter[str]) -> str:
    total = sum(counts.values()) / COUNTED_VMS
    calls = ", ".join(f"{name.removeprefix('vir')} {count / COUNTED_VMS:.1f}" for name, count in counts.most_common())
    return f"{total:.1f} ({calls})"


def _print_growth(measured: dict[int, list[Round]]) -> None:
    """Per-VM cost of the largest size beside the one before it: 1 is linear, the sizes' own ratio quadratic."""
    if len(measured) < 2:
        return
    smaller, larger = sorted(measured)[-2:]
    pairs = list(zip(measured[smaller], measured[larger], strict=True))
    wall = middle([many.hikube_ms / few.hikube_ms for few, many in pairs])
    cpu = middle([many.hikube_cpu_ms / few.hikube_cpu_ms for few, many in pairs])
    print(f"growth: a VM among {larger} costs {wall:.2f} times a VM among {smaller} (CPU {cpu:.2f} times)")
