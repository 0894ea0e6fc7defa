"""What hikube costs over a real API server, beside a bare loop that makes the very same writes there.

    1,000 VMs are applied ──> every one has a plan and holds its claim          hikube, with all that it reads and decides
    the same writes, one after the other, in another namespace                  the bare loop, which decides nothing

Hosts are simulated and ready before the clock starts; images never arrive, so every VM stays where its claim is held. Then a
controller of its own rests over thousands of objects, and what it takes meanwhile is read from the kernel.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.kubernetes_idle import Idle, rest
from benchmarks.kubernetes_rig import Figures, KubernetesRig
from benchmarks.report import load, print_table, say, spread
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubectl import Kubectl

VMS = 1_000
ROUNDS = 3
IDLE_OBJECTS = 5_000
IDLE_S = 330.0
"""Longer than the period in which everything is looked at once."""
CRDS = Path(__file__).parents[1] / "deploy" / "crds"
HEADS = ("round", "hikube s", "bare loop s", "ratio", "hikube CPU s", "bare CPU s", "writes/VM", "reads/VM")


@dataclass(frozen=True, slots=True)
class Round:
    """Both sides, one after the other, on one control plane."""

    hikube: Figures
    bare: Figures

    @property
    def ratio(self) -> float:
        """Of wall times."""
        return self.hikube.wall_s / self.bare.wall_s


def run(*, vms: int = VMS, rounds: int = ROUNDS, idle_objects: int = IDLE_OBJECTS, idle_s: float = IDLE_S) -> list[Round]:
    """Measure and print."""
    measured = [_round(vms, number) for number in range(rounds)]
    print(f"Kubernetes: {vms} VirtualMachines applied -> plan made, claim held; load {load()}")
    print_table(HEADS, [_row(str(number), each, vms) for number, each in enumerate(measured)])
    print(f"ratio of wall times: {spread([each.ratio for each in measured], digits=2)}")
    if idle_objects:
        _print_idle(_idle(idle_objects, idle_s))
    return measured


def _round(vms: int, number: int) -> Round:
    with tempfile.TemporaryDirectory(prefix="hikube-bench-") as directory:
        plane = _plane(Path(directory))
        try:
            with KubernetesRig(plane, Path(directory), vms=vms) as rig:
                hikube = rig.bring_up()
                bare = rig.repeat_bare()
        finally:
            plane.stop()
    result = Round(hikube, bare)
    say(f"round {number}: hikube {hikube.wall_s:.1f} s, bare loop {bare.wall_s:.1f} s, ratio {result.ratio:.2f}; load {load()}")
    return result


def _idle(objects: int, duration_s: float) -> Idle:
    with tempfile.TemporaryDirectory(prefix="hikube-bench-") as directory:
        plane = _plane(Path(directory))
        try:
            return rest(plane, Path(directory), objects=objects, duration_s=duration_s)
        finally:
            plane.stop()


def _plane(directory: Path) -> ControlPlane:
    root = directory / "control-plane"
    root.mkdir()
    plane = ControlPlane(root)
    plane.start()
    kubectl = Kubectl(plane, namespace="default", kubeconfig=plane.kubeconfig)
    kubectl.ok("apply", "--server-side", "--filename", str(CRDS))
    kubectl.ok("wait", "--for=condition=Established", "customresourcedefinitions", "--all", "--timeout=60s")
    return plane


def _row(name: str, result: Round, vms: int) -> Sequence[str]:
    hikube, bare = result.hikube, result.bare
    figures = (hikube.wall_s, bare.wall_s, result.ratio, hikube.cpu_s, bare.cpu_s, hikube.writes / vms, hikube.reads / vms)
    return (name, *(f"{figure:.2f}" for figure in figures))


def _print_idle(idle: Idle) -> None:
    print(
        f"idle over {idle.objects:,} objects: {100 * idle.cpu_s / idle.wall_s:.2f} % of a core "
        f"({idle.cpu_s:.1f} s in {idle.wall_s:.0f} s), {idle.memory_mib:.0f} MiB; at rest after {idle.settled_s:.0f} s"
    )
