"""Steps that no status shows, told by the control loop while it runs in this process.

Undoing leaves no record; and a claim goes with its last step, often before anybody has looked at it once more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from cli.progress import step_line
from cli.session import MACHINE_KINDS
from provisioner.model.metadata import Key


@dataclass(frozen=True, slots=True)
class FinishedStep:
    """How a step ended."""

    name: str
    duration_s: float
    message: str


class HeardSteps:
    """An observer that hears which steps were undone, and how those of claims ended.

    The times of the undone run from one to the next, since undoing has no record. Called from the workers of the control loop,
    read by the thread that waits.
    """

    def __init__(self, keys: Collection[Key], *, claims: Collection[Key] = ()) -> None:
        self._keys = frozenset(keys)
        self._lock = threading.Lock()
        self._last_s = time.monotonic()
        self._told: set[tuple[Key, str]] = set()
        self._lines: list[str] = []
        self._finished: dict[Key, list[FinishedStep]] = {claim: [] for claim in claims}

    def step_started(self, key: Key, step: str) -> None:
        """A step that begins again can be undone again."""
        with self._lock:
            self._told.discard((key, step))

    def step_waiting(self, key: Key, step: str, message: str) -> None:
        """The status tells."""

    def step_finished(self, key: Key, step: str, duration_s: float, message: str) -> None:
        """The status tells, unless the object is gone before anybody reads it."""
        with self._lock:
            if key in self._finished:
                self._finished[key].append(FinishedStep(step, duration_s, message))

    def step_undone(self, key: Key, step: str) -> None:
        """Note the first time of each."""
        with self._lock:
            if key not in self._keys or (key, step) in self._told or not _leaves_something(key, step):
                return
            self._told.add((key, step))
            now_s = time.monotonic()
            prefix = f"{key.name:<16} " if len(self._keys) > 1 else ""
            self._lines.append(step_line("undo", step, now_s - self._last_s, "", prefix=prefix))
            self._last_s = now_s

    def failed(self, key: Key, step: str, message: str) -> None:
        """The status tells."""

    def take(self) -> list[str]:
        """The lines that nobody has taken yet."""
        with self._lock:
            lines, self._lines = self._lines, []
        return lines

    def finished(self, key: Key) -> list[FinishedStep]:
        """The steps of the claim of that name that ended while we listened, the first first."""
        with self._lock:
            return list(self._finished.get(key, ()))


def _leaves_something(key: Key, step: str) -> bool:
    """Whether undoing the step does anything; of the others nobody wants to read."""
    from provisioner.lifecycle.steps import nothing
    from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
    from provisioner.lifecycle.vm_disk.table import VM_DISK

    row: Any = None
    if key.kind in MACHINE_KINDS or key.kind == "VMDisk":
        row = (VM_DISK if key.kind == "VMDisk" else VIRTUAL_MACHINE).by_name.get(step)
    return row is None or row.undo is not nothing
