"""Looks for planted bugs, and shows one that was found.

python -m tests.simulation.bugs                                   all of them, as the table in docs/explanation/simulation.md
python -m tests.simulation.bugs restored-before-reset             this one
python -m tests.simulation.bugs restored-before-reset --seed 0    what happens in that seed with it, line by line
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence

from tests.simulation.__main__ import main as live_through_one
from tests.simulation.bugs import BUGS, Bug, plant
from tests.simulation.bugs.hunting import SEEDS_MAX, hunt


def main(words: Sequence[str] | None = None) -> int:
    """The command line; 0: what was looked for was found."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.bugs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BUGS)}")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help=f"at most so many for each; {SEEDS_MAX} unless told")
    parser.add_argument("--seed", type=int, help="with one name: tell what happens in this one")
    given = parser.parse_args(words)
    if unknown := [name for name in given.names if name not in BUGS]:
        parser.error(f"there is no bug {', '.join(unknown)}")
    if given.seed is None:
        return _table([BUGS[name] for name in given.names] or BUGS.values(), seeds=given.seeds)
    if len(given.names) != 1:
        parser.error("--seed is for one bug: NAME --seed N")
    (name,) = given.names
    with plant(name):
        is_wrong = live_through_one(["--scenario", BUGS[name].scenario, "--seed", str(given.seed), "--trace"])
    return 0 if is_wrong else 1


def _table(bugs: Iterable[Bug], *, seeds: int) -> int:
    """One line for each bug; how long it took, and what was wrong, beside it on stderr."""
    missed = 0
    print("| bug | what is wrong | found by | in seeds |\n|---|---|---|---|")
    for bug in bugs:
        began_s = time.process_time()
        catch = hunt(bug, range(seeds))
        missed += catch is None
        found = f"`{catch.finding.check}` | {catch.seeds}" if catch else f"nothing | more than {seeds}"
        print(f"| `{bug.name}` | {bug.about} | {found} |", flush=True)
        what = catch.finding.what if catch else "not found"
        print(f"{bug.name}: {time.process_time() - began_s:.1f} s, {what}", file=sys.stderr, flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
