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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cli.output import has_live_line, say
from provisioner.model.clock import seconds
from provisioner.model.metadata import Condition, Key, Resource, find_condition

if TYPE_CHECKING:
    from cli.heard_steps import FinishedStep

LONG_WORD = 40
QUIET_S = 10.0
"""Without a live line, a step that takes this long says what it waits for, and again when that is something new."""
REMINDER_S = 60.0
"""After so long it says so again, since what it waits for may have come back, or only its numbers have changed."""

BEFORE_IT_BEGAN = ("Undone", "Released")
"""Reasons of a condition whose step was taken back, and has said nothing since."""


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
    """Prints what is new in the resources that it is shown; each line names its resource where there are several."""

    def __init__(self, *, now_s: Callable[[], float], several: bool = False, several_gpus: bool = False) -> None:
        self._now_s = now_s
        self._several = several
        self._several_gpus = several_gpus
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
        prefix = self._prefix(resource.key)
        for record in resource.status.steps:
            if record.finished and _mark(resource, record) not in self._told:
                self._told.add(_mark(resource, record))
                took_s = seconds(record.finished) - seconds(record.started)
                self._print(step_line("ok", record.name, took_s, _message_of(resource, record.name), prefix=prefix))
        self._note_failure(resource, prefix)
        self._refresh(resource, prefix)

    def show_gone(self, key: Key, steps: Sequence[FinishedStep]) -> None:
        """Print the last steps of an object that went before it was shown with them."""
        told = {name for of, name, _started in self._told if of == key}
        for step in steps:
            if step.name not in told:
                self._told.add((key, step.name, ""))
                self._print(step_line("ok", step.name, step.duration_s, step.message, prefix=self._prefix(key)))

    def line(self, text: str) -> None:
        """A line that stays."""
        self._print(text)

    def end(self) -> None:
        """Remove the live line."""
        if self._live_width:
            sys.stderr.write("\r" + " " * self._live_width + "\r")
            sys.stderr.flush()
            self._live_width = 0

    def _prefix(self, key: Key) -> str:
        is_named = self._several or (self._several_gpus and key.kind == "GPUClaim")
        return f"{key.name:<16} " if is_named else ""

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
        waits_for = _waits_for(resource, under_way.name)
        waited_s = self._now_s() - seconds(under_way.started)
        text = step_line("...", under_way.name, waited_s, waits_for.message if waits_for else "", prefix=prefix)
        if not self._live:
            if waited_s >= QUIET_S:
                self._break_the_silence(resource.key, f"{under_way.name} {under_way.started}", waits_for, text)
            return
        text = fitted(text, shutil.get_terminal_size().columns - 1)
        sys.stderr.write("\r" + text.ljust(self._live_width))
        sys.stderr.flush()
        self._live_width = len(text)

    def _break_the_silence(self, key: Key, step: str, waits_for: Condition | None, text: str) -> None:
        """Each thing that a step waits for is said once: an attempt that goes back and forth between two is no news."""
        waits = self._waits.get(key)
        if waits is None or waits.step != step:
            waits = self._waits[key] = _Waits(step)
        what = re.sub(r"\d+", "#", f"{waits_for.reason}: {waits_for.message}" if waits_for else "")
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


def _mark(resource: Resource, record: Any) -> tuple[Key, str, str]:
    return resource.key, record.name, record.started


def _message_of(resource: Resource, step: str) -> str:
    """What the step said of itself at its end; a URI of a host says nothing new."""
    found = _condition_of(resource, step)
    return found.message if found is not None and found.message != getattr(resource.spec, "uri", "") else ""


def _waits_for(resource: Resource, step: str) -> Condition | None:
    """What the step under way says of itself; nothing before it has waited once, since its condition is of an earlier time."""
    found = _condition_of(resource, step)
    return found if found is not None and found.status == "False" and found.reason not in BEFORE_IT_BEGAN else None


def _condition_of(resource: Resource, step: str) -> Condition | None:
    from provisioner.lifecycle.gpu_claim.table import GPU_CLAIM
    from provisioner.lifecycle.gpu_hosts import GPU_HOST
    from provisioner.lifecycle.kubevirt.table import KUBEVIRT_MACHINE
    from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
    from provisioner.lifecycle.vm_disks import VM_DISK

    tables: dict[str, Any] = {"GPUHost": GPU_HOST, "GPUClaim": GPU_CLAIM, "VMDisk": VM_DISK}
    row = tables.get(resource.kind, VIRTUAL_MACHINE).by_name.get(step) or KUBEVIRT_MACHINE.by_name.get(step)
    return find_condition(resource.status.conditions, row.sets) if row is not None else None


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason is recorded"
