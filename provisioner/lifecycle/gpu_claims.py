"""Claims whose owner is gone find their way home: restore the functions, release the claim.

A VM normally takes its claims down itself, and its finalizer keeps it alive until then. This is for what is left when somebody
removed a VM behind the controller's back. A claim with a living owner is never touched here.
"""

from __future__ import annotations

from provisioner.lifecycle.hypervisors import WatchedHypervisor
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.quarantine import quarantine
from provisioner.lifecycle.virtual_machine.devices import UNDO_BUDGET_S, restore_function
from provisioner.model.errors import DeviceBusy, HostTimeout, NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Key, Resource
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from provisioner.store.protocol import Change, ChangeType, Event

IN_USE_S = 30.0
"""The sweep of the host (orphans.py) stops the domain; until then the claim protects the GPU."""


class GPUClaimReconciler:
    """Owns GPUClaim."""

    kinds: tuple[type[Resource], ...] = (GPUClaim,)

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._owners: dict[Key, set[Key]] = {}
        self._busy_since: dict[Key, float] = {}

    def reconcile(self, key: Key) -> float | None:
        """Send an orphan home."""
        claim = self._ports.store.get(GPUClaim, key.name)
        self._owners.setdefault(claim.spec.owner.key, set()).add(key)
        if self._has_owner(claim):
            return None
        try:
            host = self._ports.store.get(GPUHost, claim.spec.host)
        except NotFound:
            self._release(claim)  # nothing can be restored on a host that nobody knows any more
            return None
        hypervisor = WatchedHypervisor.over(self._ports.connections, host.spec.uri)
        users = [domain.name for domain in hypervisor.domains.owned() if claim.spec.address in domain.functions]
        if users:
            self._tell(claim, "OrphanInUse", f"it has no owner, and domain `{users[0]}` still has the GPU")
            return IN_USE_S
        try:
            for function in reversed(claim.status.functions):
                restore_function(hypervisor.devices, function)
        except NotFound as error:
            quarantine(self._ports, host=claim.spec.host, address=claim.spec.address, reason=f"vanished: {error}")
        except (DeviceBusy, HostTimeout) as error:
            if self._busy_for_s(key) < UNDO_BUDGET_S:
                return IN_USE_S
            quarantine(self._ports, host=claim.spec.host, address=claim.spec.address, reason=f"could not be restored: {error}")
        self._release(claim)
        return None

    def concerns(self, change: Change) -> tuple[Key, ...]:
        """New claims, and those of a VM that is gone."""
        resource = change.resource
        if isinstance(resource, GPUClaim):
            if change.type is ChangeType.DELETED:
                self._busy_since.pop(resource.key, None)
                self._owners.get(resource.spec.owner.key, set()).discard(resource.key)
                return ()
            return (resource.key,) if change.type is ChangeType.ADDED else ()
        if isinstance(resource, VirtualMachine) and change.type is ChangeType.DELETED:
            return tuple(self._owners.pop(resource.key, ()))
        return ()

    def group_of(self, key: Key) -> str:
        """The host part of the claim's name."""
        return key.name.rsplit(".", 2)[0]

    def _busy_for_s(self, key: Key) -> float:
        """Seconds since a function of the claim first did not go home, as far as this process saw."""
        now_s = self._ports.clock.monotonic_s()
        return now_s - self._busy_since.setdefault(key, now_s)

    def _has_owner(self, claim: GPUClaim) -> bool:
        owner = claim.spec.owner
        kind = VMInstance if owner.kind == "VMInstance" else VirtualMachine
        try:
            return self._ports.store.get(kind, owner.name, namespace=owner.namespace).metadata.uid == owner.uid
        except NotFound:
            return False

    def _release(self, claim: GPUClaim) -> None:
        self._ports.store.delete(claim.key, uid=claim.metadata.uid)
        self._tell(claim, "OrphanReleased", f"its owner {claim.spec.owner.key} is gone")

    def _tell(self, claim: GPUClaim, reason: str, message: str) -> None:
        self._ports.store.record(Event(claim.key, "Warning", reason, message))
