"""A controller in a process of its own that dies where it is told.

    python -m tests.libvirt.mortal_controller DATABASE CACHE WHERE

WHERE is `after:STEP` (killed when the step has finished), `undone:STEP` (killed when it has been undone), or `never`. Killed
means SIGKILL to itself: no handler, no flush, nothing said. Without a death it ends when its VM is Ready, or gone and its GPUs
clean and free; `after:STEP` may be a step of their cleaning. Exit 3 if that took too long. Prints one line per step.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from provisioner.clocks import SystemClock, SystemIdentifiers
from provisioner.lab import time_scale
from provisioner.lifecycle.assembly import build_controller
from provisioner.model.errors import NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.metadata import Key, find_condition
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import Phase, VirtualMachine
from provisioner.store.open import open_store
from provisioner.store.protocol import Store

TIMEOUT_S = 900.0
VM = "mortal"


class Death:
    """Observes until the moment, then kills the process."""

    def __init__(self, where: str) -> None:
        self._moment, _, self._step = where.partition(":")

    def step_started(self, key: Key, step: str) -> None:
        """Nothing."""

    def step_waiting(self, key: Key, step: str, message: str) -> None:
        """Nothing."""

    def step_finished(self, key: Key, step: str, duration_s: float, message: str) -> None:
        """Die here?"""
        if key.name == VM or key.kind == GPUClaim.KIND:
            print(f"{step} {duration_s:.1f}s {message}", flush=True)
            self._perhaps("after", step)

    def step_undone(self, key: Key, step: str) -> None:
        """Die here?"""
        if key.name == VM:
            print(f"undone {step}", flush=True)
            self._perhaps("undone", step)

    def failed(self, key: Key, step: str, message: str) -> None:
        """Say it."""
        print(f"FAILED {key} {step}: {message}", flush=True)

    def _perhaps(self, moment: str, step: str) -> None:
        if (moment, step) == (self._moment, self._step):
            os.kill(os.getpid(), signal.SIGKILL)


def is_over(store: Store) -> bool:
    """Whether the VM is where it was going: Ready, given up, or gone with its GPUs free."""
    try:
        vm = store.get(VirtualMachine, VM, namespace="default")
    except NotFound:
        return not store.list(GPUClaim).items
    if vm.is_being_deleted:
        return False
    ready = find_condition(vm.status.conditions, "Ready")
    return vm.status.phase is Phase.FAILED or (ready is not None and ready.status == "True")


def main(database: str, cache: str, where: str) -> int:
    """Drive until over or dead."""
    store = open_store(Path(database), clock=SystemClock(), identifiers=SystemIdentifiers())
    controller = build_controller(
        store,
        cache_dir=Path(cache),
        tables=Tables.builtin(),
        observer=Death(where),
        workers=4,
        time_scale=max(1.0, time_scale()),
    )
    over = controller.run_until(lambda: is_over(store), timeout_s=TIMEOUT_S)
    controller.close()
    return 0 if over else 3


if __name__ == "__main__":
    status = main(*sys.argv[1:4])
    sys.stdout.flush()
    os._exit(status)
