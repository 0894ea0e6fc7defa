"""Bugs about what is free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from provisioner.lifecycle import fleet as lifecycle_fleet
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GpuFacts, GPUHost, GpuState
from provisioner.model.metadata import find_condition
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.planning import fleet
from provisioner.planning.fleet import Fleet
from provisioner.planning.quotas import Tenancy
from tests.simulation.bugs.planting import planted_in


@planted_in(fleet, "gpu_state", found_by=("quarantined-gpus-stay-put",), scenario="devices")
def quarantine_not_asked(right: Callable[..., GpuState], facts: GpuFacts, *, host: GPUHost, claim: GPUClaim | None) -> GpuState:
    """Placement takes a quarantined GPU that nobody has for a free one."""
    found = right(facts, host=host, claim=claim)
    return GpuState.FREE if found is GpuState.QUARANTINED and claim is None else found


@planted_in(lifecycle_fleet, "_has_something", found_by=("memory-is-promised-once",), scenario="crowded")
def memory_counts_once_it_runs(right: Callable[..., bool], vm: VirtualMachine) -> bool:
    """A VM takes memory of its host from when its domain is started; all that are on their way there are planned for none."""
    started = find_condition(vm.status.conditions, "Started")
    return right(vm) and started is not None and started.status == "True"


@planted_in(Tenancy, "used_of", found_by=("namespaces-keep-to-their-quotas",), scenario="quotas")
def a_vm_counts_as_one_gpu(right: Callable[..., int], self: Tenancy, resource: str) -> int:
    """Of what a namespace may have, a VM that has several GPUs uses one."""
    return min(right(self, resource), len(self.users_of(resource, but="")))


@planted_in(Fleet, "external_address", found_by=("addresses-are-given-once", "one-address-one-guest"))
def external_address_given_twice(right: Callable[..., str], self: Fleet, host: GPUHost, *, for_uid: str) -> str:
    """Nobody asks which other VM has an external address already."""
    own = {uid: address for uid, address in self.external_addresses.items() if uid == for_uid}
    return right(replace(self, external_addresses=own), host, for_uid=for_uid)
