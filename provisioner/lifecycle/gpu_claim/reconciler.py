"""Drives released claims to their end. A claim with a living owner that has not let go of it is never touched here.

    owner gone ──> released ──> the table ──> deleted
                       └── a step that aborts: quarantine with its reason, and on

A host that is away is waited for. One that was taken out of the store cannot be asked for anything: the claim is recorded as
lost and goes, since whoever adds the host again prepares it, as for any new host.
"""

from __future__ import annotations

from provisioner.lifecycle.gpu_claim.recording import quarantined_for, write_entry
from provisioner.lifecycle.gpu_claim.table import GPU_CLAIM
from provisioner.lifecycle.gpu_claim.view import GPUClaimView
from provisioner.lifecycle.kubevirt.claim_table import CLUSTER_CLAIM
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.quarantine import quarantine
from provisioner.lifecycle.verdicts import Abort, Done, Retry
from provisioner.model.errors import NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_history import Outcome
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Key, Resource, find_condition
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from provisioner.store.protocol import Change, ChangeType, Event

STUCK_RETRY_S = 30.0
_LATE = {
    "quiesce": "InUse",
    "reset": "NotReset",
    "scrub": "NotScrubbed",
    "verify": "NotVerified",
    "restore": "NotRestored",
    "record": "NotRecorded",
}
"""The cause of a quarantine by a step that did not end in its time."""


class GPUClaimReconciler:
    """Owns GPUClaim."""

    kinds: tuple[type[Resource], ...] = (GPUClaim,)

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._owners: dict[Key, dict[Key, None]] = {}
        self._settled: dict[str, set[str]] = {}
        """By the claim's uid: the steps that this process saw done."""
        self._released: set[Key] = set()

    def reconcile(self, key: Key) -> float | None:
        """One pass over the claim of that name."""
        view = GPUClaimView(self._ports.store.get(GPUClaim, key.name), self._ports)
        self._owners.setdefault(view.resource.spec.owner.key, {})[key] = None
        if not view.resource.is_released:
            why = self._why_ownerless(view.resource)
            if not why:
                return None
            view.write(released_at=self._ports.now())
            view.tell("OrphanReleased", why, warning=True)
        return self._clean(view)

    def concerns(self, change: Change) -> tuple[Key, ...]:
        """New claims, those that were let go, and those of a VM that is gone."""
        resource = change.resource
        if isinstance(resource, GPUClaim):
            if change.type is ChangeType.DELETED:
                self._forget(resource)
                return ()
            is_news = change.type is ChangeType.ADDED or (resource.is_released and resource.key not in self._released)
            if resource.is_released:
                self._released.add(resource.key)
            return (resource.key,) if is_news else ()
        if isinstance(resource, VirtualMachine) and change.type is ChangeType.DELETED:
            return tuple(self._owners.pop(resource.key, ()))
        return ()

    def group_of(self, key: Key) -> str:
        """The host part of the claim's name, which ends in an address with a dot, or in a UUID without."""
        parts = key.name.rsplit(".", 2)
        return parts[0] if len(parts) < 3 or len(parts[2]) == 1 else ".".join(parts[:2])

    def _clean(self, view: GPUClaimView) -> float | None:
        if not self._knows_host(view):
            self._lost(view)
            return None
        settled = self._settled.setdefault(view.resource.metadata.uid, set())
        if view.resource.status.machine is not None:
            return self._clean_on_cluster(view, settled)
        verdict = GPU_CLAIM.advance(view, settled=settled)
        if isinstance(verdict, Retry):
            if verdict.is_trouble:
                settled.clear()  # the host may have been booted: all is looked at anew
            return verdict.after_s
        if isinstance(verdict, Abort):
            step = next(step.name for step in GPU_CLAIM.steps if step.name not in settled)
            return self._give_up(view, step, verdict)
        assert isinstance(verdict, Done)
        reason = view.cleaning.failure or quarantined_for(view)
        outcome = f"in quarantine: {reason}" if reason else "free"
        self._end(view, f"GPU {view.address} of host {view.resource.spec.host} is {outcome}")
        return None

    def _clean_on_cluster(self, view: GPUClaimView, settled: set[str]) -> float | None:
        """The cluster gives the GPU to whom it likes; the claim goes when the instance that had it is gone."""
        verdict = CLUSTER_CLAIM.advance(view, settled=settled)
        if not isinstance(verdict, Done):
            return verdict.after_s if isinstance(verdict, Retry) else STUCK_RETRY_S
        self._end(view, f"GPU {view.resource.spec.device} of host {view.resource.spec.host} went back to the cluster")
        return None

    def _give_up(self, view: GPUClaimView, step: str, verdict: Abort) -> float:
        """The GPU goes into quarantine; what can still be done for it is done, and the claim ends."""
        why = verdict.message
        cause = _LATE[step] if verdict.reason == "DeadlineExceeded" else verdict.reason
        quarantine(self._ports, host=view.resource.spec.host, address=view.address, reason=why, cause=cause)
        view.tell(verdict.reason, why, warning=True)
        restored = {"restored": f"failed: {why}"} if step == "restore" else {}
        view.note(failure=view.cleaning.failure or why, **restored)
        return STUCK_RETRY_S if step == "record" else 0.0

    def _lost(self, view: GPUClaimView) -> None:
        if view.resource.status.functions:
            write_entry(view, outcome=Outcome.LOST, reason=f"host `{view.resource.spec.host}` was taken out of the store")
        self._end(view, f"host `{view.resource.spec.host}` is not known any more; nothing was done there")

    def _end(self, view: GPUClaimView, message: str) -> None:
        """The GPU is free, or in quarantine: nothing else holds it."""
        self._ports.store.delete(view.key, uid=view.resource.metadata.uid)
        self._ports.store.record(Event(view.key, "Normal", "Released", message))

    def _knows_host(self, view: GPUClaimView) -> bool:
        try:
            return isinstance(view.host, GPUHost)
        except NotFound:
            return False

    def _why_ownerless(self, claim: GPUClaim) -> str:
        """Why nobody will ever let go of it; empty if its owner does.

        A Ready VM knows its GPUs. A claim for it that it does not know was made by a controller that had lost its lease.
        """
        owner = claim.spec.owner
        kind = VMInstance if owner.kind == VMInstance.KIND else VirtualMachine
        try:
            vm = self._ports.store.get(kind, owner.name, namespace=owner.namespace)
        except NotFound:
            return f"its owner {owner.key} is gone"
        if vm.metadata.uid != owner.uid:
            return f"its owner {owner.key} is gone"
        ready, spec = find_condition(vm.status.conditions, "Ready"), claim.spec
        mine = {(gpu.host, gpu.uuid if spec.uuid else gpu.address) for gpu in vm.status.gpus}
        is_known = ready is None or ready.status != "True" or (spec.host, spec.device) in mine
        return "" if is_known else f"its owner {owner.key} is Ready with other GPUs"

    def _forget(self, claim: GPUClaim) -> None:
        self._settled.pop(claim.metadata.uid, None)
        self._released.discard(claim.key)
        self._owners.get(claim.spec.owner.key, {}).pop(claim.key, None)
