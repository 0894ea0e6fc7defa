"""`python -m benchmarks [control-plane|box]`: without a word, all of them in modest sizes."""

from __future__ import annotations

import argparse
import sys

from benchmarks import control_plane
from benchmarks.report import print_machine

def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What hikube costs beside what it is made of.")
    which = parser.add_subparsers(dest="which")
    plane = which.add_parser("control-plane", help="per VM, beside raw libvirt calls on test:///default")
    plane.add_argument("--vms", default="1,100,1000", help="sizes, comma-separated (%(default)s)")
    plane.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    print_machine()
    control_plane.run(sizes=tuple(int(size) for size in chosen.vms.split(",")), rounds=chosen.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
