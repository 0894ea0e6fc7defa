"""A choice and why it was made; a plan with all of its choices. What `hikube explain vm NAME --hardware` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.planning.plans import DomainPlan


@dataclass(frozen=True, slots=True)
class Choice:
    """One part of the hardware."""

    part: str
    """`NUMA`, `PCI window`, `GPU 0000:41:00.0`: the first column of a table."""
    value: str
    """What was chosen, in a few words."""
    why: str

    def as_dict(self) -> dict[str, str]:
        """The choice as data for `-o json`."""
        return {"part": self.part, "value": self.value, "why": self.why}


@dataclass(frozen=True, slots=True)
class HardwarePlan:
    """The plan, and why it is so."""

    plan: DomainPlan
    choices: tuple[Choice, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every choice as one sentence."""
        return tuple(f"{choice.part} {choice.value}: {choice.why}" for choice in self.choices)

    @property
    def guest_addresses(self) -> Mapping[str, str]:
        """Host address of each GPU -> where the guest must find it."""
        return {each.host_address: each.guest_address for each in self.plan.functions if each.guest_function == 0}

    @property
    def guest_numa_nodes(self) -> Mapping[str, int]:
        """Host address of each GPU -> the guest's NUMA node that it must be on; empty where the guest has none."""
        functions = self.plan.functions
        return {
            each.host_address: each.numa_cell for each in functions if not each.guest_function and each.numa_cell is not None
        }

    def as_dict(self) -> dict[str, Any]:
        """The choices and the layout as data for `-o json`."""
        plan = self.plan
        return {
            "choices": [choice.as_dict() for choice in self.choices],
            "functions": [
                {
                    "hostAddress": each.host_address,
                    "guestAddress": each.guest_address,
                    "numaNode": each.numa_cell,
                    "alias": each.alias,
                }
                for each in plan.functions
            ],
            "cells": [
                {"id": cell.id, "hostNode": cell.host_node, "vcpus": cell.vcpu_range, "memoryMib": cell.memory_mib}
                for cell in plan.cells
            ],
            "pins": {str(pin.vcpu): pin.cpuset for pin in plan.pins},
        }
