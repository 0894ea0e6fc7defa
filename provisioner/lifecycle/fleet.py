"""The snapshot that placement plans on: hosts, claims and committed VMs, read from the store in one go.

Reads claims last: a claim made in between is seen as taken, so the plan errs towards "no", and the claim itself decides.
A stopped VM commits nothing: its GPUs and its memory are for others until it starts again.
"""

from __future__ import annotations

from provisioner.model.errors import InvalidInput
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.sizing import guest_size
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import Phase, VirtualMachine, VMInstance
from provisioner.planning.fleet import Commitment, Fleet, commitment_of
from provisioner.store.protocol import Store


def snapshot(store: Store, tables: Tables) -> Fleet:
    """The fleet as it is now."""
    hosts = store.list(GPUHost).items
    machines = (*store.list(VirtualMachine).items, *store.list(VMInstance).items)
    commitments = [_commitment(machine, tables) for machine in machines]
    return Fleet.of(hosts, claims=store.list(GPUClaim).items, commitments=commitments)


def _commitment(vm: VirtualMachine, tables: Tables) -> Commitment | None:
    if vm.status.phase is Phase.STOPPED:
        return None
    try:
        return commitment_of(vm, size=guest_size(vm.spec, tables))
    except InvalidInput:
        return None  # an operator took its instance type away; what it runs with is no longer known
