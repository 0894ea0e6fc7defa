"""Bugs about what must be gone with a VM, and about what must stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.lifecycle.view import View
from provisioner.lifecycle.virtual_machine import access, attachments, network
from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.metadata import Resource
from provisioner.model.network import KeptAddress
from provisioner.model.vm_disk import VMDisk
from tests.simulation.bugs.planting import planted_in, planted_in_step


@planted_in(View, "ensure_finalizer", found_by=("finalizers-hold-what-is-there", "nothing-is-left"), scenario="quiet")
def no_finalizer(right: Callable[..., None], self: View[Resource], finalizer: str) -> None:
    """Nothing holds an object back from removal until its traces are gone."""


@planted_in(network, "_release", found_by=("deleted-vms-leave-nothing", "nothing-is-left"), scenario="quiet")
def addresses_stay_reserved(right: Callable[..., None], view: VirtualMachineView, kept: Sequence[KeptAddress]) -> None:
    """The addresses that a host keeps for a VM are not given back."""


@planted_in_step(
    VIRTUAL_MACHINE, "seed", part="undo", found_by=("deleted-vms-leave-nothing", "nothing-is-left"), scenario="guests"
)
def seed_stays(right: Callable[..., Verdict], view: VirtualMachineView) -> Verdict:
    """The seed of a VM, with the keys in it, stays on the host."""
    access.forget_start(view)
    return Done()


@planted_in(access, "forget_private", found_by=("keys-are-forgotten",), scenario="quiet")
def keys_outlive_the_hand_over(right: Callable[..., None], view: VirtualMachineView) -> None:
    """A VM that is its tenant's alone can still be entered with the controller's key."""


@planted_in(attachments, "obstacle", found_by=("machines-come-right", "one-volume-one-guest"), scenario="bugs")
def disk_for_everybody(
    right: Callable[..., Retry | Abort | None], view: VirtualMachineView, disk: VMDisk
) -> Retry | Abort | None:
    """A VMDisk goes to whoever asks, also while another VM runs from it."""
    return right(view, disk.with_status(used_by=""))
