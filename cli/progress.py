"""Progress on stderr: one line per step with its time when it ends, and on a terminal a live line for the step under way.

      ok   reserve         0.1s  gpu-04, GPU 0000:41:00.0
      ok   bind            0.8s
      ...  reach          12.0s  no SSH there yet

Read from the status of the resources, so it is the same whether this process drives them or another one does.
"""

from __future__ import annotations

import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from cli.output import has_live_line, say
from cli.session import MACHINE_KINDS
from provisioner.model.clock import seconds
from provisioner.model.metadata import Condition, Key, Resource, find_condition

LONG_WORD = 40
QUIET_S = 10.0
"""Without a live line, a step that takes this long says what it waits for, and again when that is something new."""
REMINDER_S = 60.0
"""After so long it says so again, since what it waits for may have come back, or only its numbers have changed."""


def step_line(mark: str, step: str, duration_s: float, message: str, *, prefix: str = "") -> str:
    """One line of progress."""
    first_line = message.strip().splitlines()[0] if message.strip() else ""
    return f"  {prefix}{mark:<4} {step:<10} {duration_s:>7.1f}s  {first_line}".rstrip()


def fitted(line: str, width: int) -> str:
    """The line in so many columns: long words, such as URLs, give way first, since a cause often stands behind one."""
    if len(line) > width:
        line = re.sub(rf"\S{{{LONG_WORD + 1},}}", lambda word: f"{word[0][:20]}…{word[0][-16:]}", line)
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"


class Progress:
    """Prints what is new in the resources that it is shown."""

    def __init__(self, *, now_s: Callable[[], float], several: bool = False) -> None:
        self._now_s = now_s
        self._several = several
        self._told: set[tuple[Key, str, str]] = set()
        self._notes: dict[Key, str] = {}
        self._waits: dict[Key, _Waits] = {}
        self._live = has_live_line()
        self._live_width = 0

    def begin_with(self, resource: Resource) -> None:
        """Steps that ended before we looked are not news."""
        self._told |= {_mark(resource, record) for record in resource.status.steps if record.finished}

    def show(self, resource: Resource) -> None:
        """Print the steps that ended since, and refresh the live line."""
        prefix = f"{resource.metadata.name:<16} " if self._several else ""
        for record in resource.status.steps:
            if record.finished and _mark(resource, record) not in self._told:
                self._told.add(_mark(resource, record))
                took_s = seconds(record.finished) - seconds(record.started)
                self._print(step_line("ok", record.name, took_s, _message_of(resource, record.name), prefix=prefix))
        self._note_failure(resource, prefix)
        self._refresh(resource, prefix)

    def line(self, text: str) -> None:
        """A line that stays."""
        self._print(text)

    def end(self) -> None:
        """Remove the live line."""
        if self._live_width:
            sys.stderr.write("\r" + " " * self._live_width + "\r")
            sys.stderr.flush()
            self._live_width = 0

    def _note_failure(self, resource: Resource, prefix: str) -> None:
        """Tell once of each attempt that failed: its steps are being undone, and it may be tried again."""
        failed = getattr(resource.status, "unwinding", "")
        count = getattr(resource.status, "consecutive_failures", 0)
        note = f"{failed}/{count}" if failed else ""
        if note and self._notes.get(resource.key) != note:
            what = "the last attempt failed" if failed == "final" else f"attempt {count} failed and is tried again"
            self._print(f"  {prefix}fail {what}: {_first_line(resource.status.last_failure)}")
        if note:
            self._notes[resource.key] = note

    def _refresh(self, resource: Resource, prefix: str) -> None:
        under_way = next((record for record in reversed(resource.status.steps) if not record.finished), None)
        if under_way is None:
            return
        ready = find_condition(resource.status.conditions, "Ready")
        waited_s = self._now_s() - seconds(under_way.started)
        text = step_line("...", under_way.name, waited_s, ready.message if ready else "", prefix=prefix)
        if not self._live:
            if waited_s >= QUIET_S:
                self._break_the_silence(resource.key, f"{under_way.name} {under_way.started}", ready, text)
            return
        text = fitted(text, shutil.get_terminal_size().columns - 1)
        sys.stderr.write("\r" + text.ljust(self._live_width))
        sys.stderr.flush()
        self._live_width = len(text)

    def _break_the_silence(self, key: Key, step: str, ready: Condition | None, text: str) -> None:
        """Each thing that a step waits for is said once: an attempt that goes back and forth between two is no news."""
        waits = self._waits.get(key)
        if waits is None or waits.step != step:
            waits = self._waits[key] = _Waits(step)
        what = re.sub(r"\d+", "#", f"{ready.reason}: {ready.message}" if ready else "")
        if what not in waits.said or self._now_s() - waits.last_s >= REMINDER_S:
            waits.said.add(what)
            waits.last_s = self._now_s()
            say(text)

    def _print(self, text: str) -> None:
        self.end()
        say(text)


@dataclass(slots=True)
class _Waits:
    """What was said of one step."""

    step: str
    said: set[str] = field(default_factory=set)
    last_s: float = 0.0


class UndoneSteps:
    """An observer that hears which steps were undone; their times run from one to the next, since undoing has no record.

    Called from the workers of the control loop, read by the thread that waits.
    """

    def __init__(self, keys: Collection[Key]) -> None:
        self._keys = frozenset(keys)
        self._lock = threading.Lock()
        self._last_s = time.monotonic()
        self._told: set[tuple[Key, str]] = set()
        self._lines: list[str] = []

    def step_started(self, key: Key, step: str) -> None:
        """A step that begins again can be undone again."""
        with self._lock:
            self._told.discard((key, step))

    def step_waiting(self, key: Key, step: str, message: str) -> None:
        """The status tells."""

    def step_finished(self, key: Key, step: str, duration_s: float, message: str) -> None:
        """The status tells."""

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


def _leaves_something(key: Key, step: str) -> bool:
    """Whether undoing the step does anything; of the others nobody wants to read."""
    from provisioner.lifecycle.steps import nothing
    from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE

    row = VIRTUAL_MACHINE.by_name.get(step) if key.kind in MACHINE_KINDS else None
    return row is None or row.undo is not nothing


def _mark(resource: Resource, record: Any) -> tuple[Key, str, str]:
    return resource.key, record.name, record.started


def _message_of(resource: Resource, step: str) -> str:
    """What the step said of itself at its end; a URI of a host says nothing new."""
    from provisioner.lifecycle.gpu_hosts import GPU_HOST
    from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
    from provisioner.lifecycle.vm_disks import VM_DISK

    tables: dict[str, Any] = {"GPUHost": GPU_HOST, "VMDisk": VM_DISK}
    row = tables.get(resource.kind, VIRTUAL_MACHINE).by_name.get(step)
    found = find_condition(resource.status.conditions, row.sets) if row is not None else None
    return found.message if found is not None and found.message != getattr(resource.spec, "uri", "") else ""


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason is recorded"
