"""Bugs about who owns a GPU."""

from __future__ import annotations

from collections.abc import Callable

from provisioner.lifecycle.gpu_claim.reconciler import GPUClaimReconciler
from provisioner.lifecycle.virtual_machine import reserve
from provisioner.lifecycle.virtual_machine.leases import let_go
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from provisioner.planning.placement import Placement
from provisioner.planning.requests import PlacementRequest
from tests.simulation.bugs.planting import planted_in


@planted_in(reserve, "_claim_all", found_by=("machines-come-right",), scenario="quiet")
def skip_the_claim(
    right: Callable[..., bool], view: VirtualMachineView, placement: Placement, request: PlacementRequest
) -> bool:
    """A VM takes the GPUs that were planned for it, and keeps no claim on them."""
    done = right(view, placement, request)
    let_go(view)
    return done


@planted_in(
    GPUClaimReconciler,
    "_why_ownerless",
    found_by=("ready-is-claimed", "running-domains-are-claimed"),
    scenario="quiet",
)
def instances_own_nothing(right: Callable[..., str], self: GPUClaimReconciler, claim: GPUClaim) -> str:
    """The owner of a claim is looked for among VirtualMachines only, so a VMInstance loses its GPUs while it runs."""
    return right(self, claim) if claim.spec.owner.kind == VirtualMachine.KIND else "no VirtualMachine has it"


@planted_in(GPUClaimReconciler, "_why_ownerless", found_by=("claims-have-living-owners", "claims-get-home"))
def owner_known_by_name(right: Callable[..., str], self: GPUClaimReconciler, claim: GPUClaim) -> str:
    """A claim belongs to whoever has the name of its owner, so the next VM of that name keeps its predecessor's claim alive."""
    owner, store = claim.spec.owner, self._ports.store
    machines = (*store.list(VirtualMachine).items, *store.list(VMInstance).items)
    is_there = any((vm.key.namespace, vm.key.name) == (owner.namespace, owner.name) for vm in machines)
    return "" if is_there else "nobody has that name"
