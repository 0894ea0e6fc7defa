"""What all hosts and guests of a simulated fleet share: clock, chance, durations, staged faults and the log of calls."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.drivers.simulated.faults import CallLog, Faults
from provisioner.drivers.simulated.timing import Chance, Timing
from provisioner.model.clock import Clock


@dataclass(frozen=True, slots=True)
class World:
    """One of these per fleet."""

    clock: Clock
    chance: Chance
    timing: Timing
    faults: Faults
    calls: CallLog
