"""The snapshot that placement plans on: hosts, claims and committed VMs, read from the store in one go.

Reads claims last: a claim made in between is seen as taken, so the plan errs towards "no", and the claim itself decides.
A stopped VM commits nothing: its GPUs and its memory are for others until it starts again.
"""

from __future__ import annotations

import threading

from provisioner.model.errors import InvalidInput
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import find_condition
from provisioner.model.sizing import guest_size
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from provisioner.planning.fleet import Commitment, Fleet, commitment_of
from provisioner.store.protocol import Store


class Snapshots:
    """Takes snapshots; remembers what each VM commits for as long as the VM does not change. Threads may share it."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, Commitment | None]] = {}
        self.turn = threading.Lock()
        """To be held from the snapshot until the claims exist, where this process plans for many VMs at once: two plans on one
        snapshot choose the same GPU, and the slower one is made for nothing. Between processes the claims decide, as ever."""

    def take(self, store: Store, tables: Tables) -> Fleet:
        """The fleet as it is now."""
        hosts = store.list(GPUHost).items
        machines = (*store.list(VirtualMachine).items, *store.list(VMInstance).items)
        known: dict[str, tuple[str, Commitment | None]] = {}
        for vm in machines:
            uid, version = vm.metadata.uid, vm.metadata.resource_version
            found = self._known.get(uid)
            known[uid] = found if found and found[0] == version else (version, _commitment(vm, tables))
        self._known = known
        commitments = [commitment for _, commitment in known.values()]
        external = {vm.metadata.uid: vm.status.external_address for vm in machines if vm.status.external_address}
        return Fleet.of(hosts, claims=store.list(GPUClaim).items, commitments=commitments, external_addresses=external)


def snapshot(store: Store, tables: Tables) -> Fleet:
    """The fleet as it is now, for whoever looks once."""
    return Snapshots().take(store, tables)


def _has_something(vm: VirtualMachine) -> bool:
    """Whether it is scheduled, or is being undone. The phase would say so too late: it is written after the claims."""
    scheduled = find_condition(vm.status.conditions, "Scheduled")
    is_scheduled = scheduled is not None and scheduled.status == "True"
    return is_scheduled or bool(vm.status.stopping_since or vm.status.unwinding)


def _commitment(vm: VirtualMachine, tables: Tables) -> Commitment | None:
    if not _has_something(vm):
        return None
    try:
        return commitment_of(vm, size=guest_size(vm.spec, tables))
    except InvalidInput:
        return None  # an operator took its instance type away; what it runs with is no longer known
