"""A controller in a process of its own that dies where it is told.

    python -m tests.libvirt.mortal_controller DATABASE CACHE WHERE

WHERE is a moment of tests/crashes/moments.py (`after:STEP`, `undone:STEP`, `home:STEP`), or `never`. To die means SIGKILL to
itself: no handler, no flush, nothing said. Without a death it ends when its VM is Ready, or gone and its GPUs clean and free.
Exit 3 if that took too long. Prints one line per step.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

from provisioner.clocks import SystemClock, SystemIdentifiers
from provisioner.lab import time_scale
from provisioner.lifecycle.assembly import build_controller
from provisioner.model.tables import Tables
from provisioner.store.open import open_store
from tests.crashes.moments import Death, moment_of
from tests.crashes.play import is_over

TIMEOUT_S = 900.0
VM = "mortal"


def die() -> None:
    """At once."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(database: str, cache: str, where: str) -> int:
    """Drive until over or dead."""
    store = open_store(Path(database), clock=SystemClock(), identifiers=SystemIdentifiers())
    controller = build_controller(
        store,
        cache_dir=Path(cache),
        tables=Tables.builtin(),
        observer=Death(VM, moment_of(where), die=die, say=partial(print, flush=True)),
        workers=4,
        time_scale=max(1.0, time_scale()),
    )
    over = controller.run_until(lambda: is_over(store, VM), timeout_s=TIMEOUT_S)
    controller.close()
    return 0 if over else 3


if __name__ == "__main__":
    status = main(*sys.argv[1:4])
    sys.stdout.flush()
    os._exit(status)
