"""The store's objects hang together: names follow from what they name, finalizers hold what is on hosts."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.lifecycle.gpu_hosts import FINALIZER as HOST_FINALIZER
from provisioner.lifecycle.virtual_machine.view import OWNER_LABEL
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost, claim_name
from provisioner.model.virtual_machine import FINALIZER, VirtualMachine
from provisioner.model.vm_disk import FINALIZER as DISK_FINALIZER
from provisioner.model.vm_disk import VMDisk
from provisioner.store.protocol import ChangeType
from tests.simulation.checks.readiness import MACHINES
from tests.simulation.sight import Sight


class ClaimsAreWellFormed:
    """A claim is named after its GPU and bears its owner; it says what was bound before it says that it was."""

    name = "claims-are-well-formed"
    watches = frozenset({GPUClaim.KIND})

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            claim = change.resource
            if isinstance(claim, GPUClaim) and change.type is not ChangeType.DELETED:
                for wrong in self._wrong(claim):
                    yield f"{claim.key}: {wrong}"

    @staticmethod
    def _wrong(claim: GPUClaim) -> Iterator[str]:
        spec, status = claim.spec, claim.status
        if claim.metadata.name != claim_name(spec.host, spec.address):
            yield f"its name is not that of {spec.address} on {spec.host}"
        if not claim.is_released and claim.metadata.labels.get(OWNER_LABEL) != spec.owner.uid:
            yield f"its label says {claim.metadata.labels.get(OWNER_LABEL)} and its owner is {spec.owner.uid}"
        if status.bound and not status.functions:
            yield "it is bound and does not say what"
        addresses = [function.address for function in status.functions]
        if addresses and (spec.address not in addresses or len(set(addresses)) != len(addresses)):
            yield f"its functions are {addresses}"


class FinalizersHoldWhatIsThere:
    """What may have something on a host has the finalizer that keeps it until that is gone."""

    name = "finalizers-hold-what-is-there"
    watches = MACHINES | {VMDisk.KIND, GPUHost.KIND}

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            resource = change.resource
            if change.type is ChangeType.DELETED or resource.metadata.uid in sight.universe.removed_by_force:
                continue
            finalizers = resource.metadata.finalizers
            if isinstance(resource, VirtualMachine):
                status = resource.status
                if (status.host or status.gpus or status.domain) and FINALIZER not in finalizers:
                    yield f"{resource.key} is on {status.host} and has no finalizer"
            elif isinstance(resource, VMDisk):
                if resource.status.volume and DISK_FINALIZER not in finalizers:
                    yield f"{resource.key} has a volume on {resource.status.host} and no finalizer"
            elif isinstance(resource, GPUHost) and resource.status.reachable and HOST_FINALIZER not in finalizers:
                yield f"{resource.key} was reached and has no finalizer"


class AssignmentsAreWellFormed:
    """The GPUs of a VM are on its host, each once. A VM that lets go of its host lets go of its GPUs after that."""

    name = "assignments-are-well-formed"
    watches = MACHINES

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            vm = change.resource
            if not isinstance(vm, VirtualMachine) or change.type is ChangeType.DELETED or not vm.status.gpus:
                continue
            addresses = [gpu.address for gpu in vm.status.gpus]
            if len(set(addresses)) != len(addresses):
                yield f"{vm.key} has a GPU twice: {addresses}"
            places = [f"{gpu.host}/{gpu.address}" for gpu in vm.status.gpus]
            if vm.status.host and any(gpu.host != vm.status.host for gpu in vm.status.gpus):
                yield f"{vm.key} is on {vm.status.host} and has {', '.join(places)}"
