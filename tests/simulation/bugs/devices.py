"""Bugs about drivers, companions of GPUs, and domains that run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provisioner.lifecycle.steps import Lifecycle
from provisioner.lifecycle.verdicts import Verdict
from provisioner.lifecycle.virtual_machine import devices
from provisioner.lifecycle.virtual_machine.identity import Functions
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.examination import HostExamination
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GpuFacts
from tests.simulation.bugs.planting import planted_in


@planted_in(devices, "recorded", found_by=("machines-come-right",), scenario="quiet")
def forget_a_companion(
    right: Callable[..., GPUClaim], claim: GPUClaim, facts: GpuFacts, functions: Functions, examination: HostExamination
) -> GPUClaim:
    """Of the functions of a GPU's group only the GPU itself is recorded and bound."""
    return right(claim, facts, {facts.address: functions[facts.address]}, examination)


@planted_in(devices, "_recorded", found_by=("freed-drivers-are-restored",), scenario="quiet")
def drivers_recorded_anew(right: Callable[..., object], view: VirtualMachineView, claim: GPUClaim) -> object:
    """At every bind the drivers are recorded anew, so a restart takes vfio-pci for what was there before."""
    return right(view, claim.with_status(functions=()))


@planted_in(Lifecycle, "unwind", found_by=("deleted-vms-leave-nothing", "machines-come-right"), scenario="quiet")
def undone_front_to_back(
    right: Callable[..., Verdict], self: Lifecycle[Any], view: Any, *, keep_data: bool, keep: frozenset[str] = frozenset()
) -> Verdict:
    """The steps are undone in the order in which they were done: the claims go while the domain still runs."""
    return right(Lifecycle(*reversed(self.steps)), view, keep_data=keep_data, keep=keep)
