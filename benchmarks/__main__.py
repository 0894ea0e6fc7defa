"""`python -m benchmarks [control-plane|fleet|kubernetes|box]`; without a word all but kubernetes, in modest sizes."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from benchmarks import box, control_plane, fleet, kubernetes
from benchmarks.report import print_machine, say
from benchmarks.rig import BenchError
from provisioner.model.errors import HikubeError

MODEST_SIZES = (1, 100)
MODEST_FLEETS = (50, 500)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; 1 if something did not do what it should."""
    chosen = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a box that was started is removed
    print_machine()
    try:
        if chosen.which in (None, "control-plane"):
            sizes = MODEST_SIZES if chosen.which is None else chosen.vms
            control_plane.run(sizes=sizes, rounds=chosen.rounds or control_plane.ROUNDS)
        if chosen.which is None:
            fleet.run(sizes=MODEST_FLEETS, rounds=1, start_vms=min(MODEST_FLEETS))
        if chosen.which == "fleet":
            fleet.run(sizes=chosen.vms, stores=chosen.stores, rounds=chosen.rounds, start_vms=chosen.start_vms)
        if chosen.which == "kubernetes":
            kubernetes.run(vms=chosen.vms, rounds=chosen.rounds, idle_objects=chosen.idle_objects, idle_s=chosen.idle_s)
        if chosen.which in (None, "box"):
            box.run(rounds=chosen.rounds or box.ROUNDS)
    except (BenchError, HikubeError) as error:
        say(f"given up: {error}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What hikube costs beside what it is made of.")
    parser.set_defaults(rounds=0)
    which = parser.add_subparsers(dest="which")
    plane = which.add_parser("control-plane", help="per VM, beside raw libvirt calls on test:///default")
    plane.add_argument("--vms", type=_sizes, default=control_plane.SIZES, help="sizes, comma-separated (1,100,1000)")
    fleets = which.add_parser("fleet", help="growth with the fleet, in virtual time, over simulated hosts")
    fleets.add_argument("--vms", type=_sizes, default=fleet.SIZES, help="two sizes, comma-separated (500,5000); 2 GPUs each")
    fleets.add_argument("--stores", type=lambda text: tuple(text.split(",")), default=fleet.STORES, help="memory,sqlite")
    fleets.add_argument("--start-vms", type=int, default=fleet.START_VMS, help="of the fleet started over (%(default)s)")
    cluster = which.add_parser("kubernetes", help="1,000 claims on a real API server, beside a bare loop; needs `make tools`")
    cluster.add_argument("--vms", type=int, default=kubernetes.VMS, help="(%(default)s)")
    cluster.add_argument("--idle-objects", type=int, default=kubernetes.IDLE_OBJECTS, help="0: not measured (%(default)s)")
    cluster.add_argument("--idle-s", type=float, default=kubernetes.IDLE_S, help="(%(default)s)")
    in_box = which.add_parser("box", help="apply-to-proven beside a bare script, in the GPU host in a box")
    for each, rounds in (
        (plane, control_plane.ROUNDS),
        (fleets, fleet.ROUNDS),
        (cluster, kubernetes.ROUNDS),
        (in_box, box.ROUNDS),
    ):
        each.add_argument("--rounds", type=int, default=rounds, help="how often each is measured (%(default)s)")
    return parser


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
