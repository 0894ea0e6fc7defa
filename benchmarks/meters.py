"""What is counted: time, CPU, calls into libvirt, and when each VM was ready.

Meters stand outside of what they measure. The call meter replaces the C module beneath libvirt's Python binding, which costs a
little time itself, so calls are counted in a run of their own whose times are thrown away.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import libvirt

from provisioner.model.metadata import Key


@dataclass(slots=True)
class Cost:
    """What a piece of work took of this process: wall seconds, and CPU seconds of all its threads."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


@contextmanager
def metered() -> Iterator[Cost]:
    """Measures the block."""
    cost = Cost()
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    try:
        yield cost
    finally:
        cost.wall_s, cost.cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s


class Milestones:
    """An Observer that counts how many VMs finished a step, how many had it undone, and which attempts failed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._finished: dict[str, set[Key]] = {}
        self._undone: dict[str, set[Key]] = {}
        self.failures: list[str] = []

    def finished(self, step: str) -> int:
        """How many objects have finished that step."""
        return len(self._finished.get(step, ()))

    def undone(self, step: str) -> int:
        """How many objects have had that step undone."""
        return len(self._undone.get(step, ()))

    def step_started(self, key: Key, step: str) -> None:
        """Nothing."""

    def step_waiting(self, key: Key, step: str, message: str) -> None:
        """Nothing."""

    def step_finished(self, key: Key, step: str, duration_s: float, message: str) -> None:
        with self._lock:
            self._finished.setdefault(step, set()).add(key)

    def step_undone(self, key: Key, step: str) -> None:
        with self._lock:
            self._undone.setdefault(step, set()).add(key)

    def failed(self, key: Key, step: str, message: str) -> None:
        with self._lock:
            self.failures.append(f"{key} {step}: {message}")


class CallMeter:
    """Stands before the C module of libvirt's binding and counts the calls that would be messages to a host."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        if not name.startswith("vir") or not callable(value):
            return value

        def call(*args: Any) -> Any:
            with self._lock:
                self.counts[name] += 1
            return value(*args)

        return call


@contextmanager
def counted_libvirt_calls() -> Iterator[Callable[[], Counter[str]]]:
    """Count libvirt calls of this process in the block, by C function."""
    genuine = libvirt.libvirtmod
    meter = CallMeter(genuine)
    libvirt.libvirtmod = meter
    try:
        yield lambda: Counter({name: count for name, count in meter.counts.items() if not _is_local(name)})
    finally:
        libvirt.libvirtmod = genuine


def _is_local(name: str) -> bool:
    """Calls that ask nobody: errors, reference counts, the event loop, and names that the object knows."""
    return name.startswith(("virEvent", "virGetLast", "virConnResetLast", "virReset")) or name.endswith(("Free", "GetName"))
