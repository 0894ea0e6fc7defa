"""Claims of a VM on a cluster: made of what the proven guest reports, since nobody else knows which GPUs the kubelet gave it.

A claim is named after the GPU's UUID on that host, so that one GPU in two living VMs collides: the second is not Ready. A GPU
whose guest names no UUID (no NVIDIA driver there) has no claim; the VM's promised place counts it all the same.
"""

from __future__ import annotations

from provisioner.lifecycle.verdicts import Done, Retry, Verdict
from provisioner.lifecycle.virtual_machine.leases import let_go
from provisioner.lifecycle.virtual_machine.view import OWNER_LABEL, VirtualMachineView
from provisioner.model.cluster import ClaimedInstance
from provisioner.model.errors import AlreadyExists, NotFound
from provisioner.model.gpu_claim import ClaimOwner, GPUClaim, GPUClaimSpec, GPUClaimStatus
from provisioner.model.gpu_cleaning import GuestEvidence
from provisioner.model.gpu_host import claim_name
from provisioner.model.metadata import Metadata
from provisioner.model.virtual_machine import GpuAssignment

WAIT_S = 5.0


def claim_reported(view: VirtualMachineView, gpus: tuple[GpuAssignment, ...]) -> Retry | None:
    """Every GPU with a UUID is claimed by this VM, for this instance; None once it is so."""
    wanted = {claim_name(gpu.host, gpu.uuid): gpu for gpu in gpus if gpu.uuid}
    for claim in view.claims():
        if claim.metadata.name not in wanted or claim.status.machine != _instance(view):
            let_go(view)  # of an earlier instance: its way home ends when that is gone
            return Retry(WAIT_S, "ClaimsOfBefore", f"its claim {claim.metadata.name} is of an earlier instance")
    held = {claim.metadata.name for claim in view.claims()}
    for name, gpu in wanted.items():
        refused = None if name in held else _claim(view, name, gpu)
        if refused is not None:
            return refused
    return None


def let_go_of_gpus(view: VirtualMachineView) -> Verdict:
    """The VM owns no GPU any more. Each is locked until the instance that had it is gone, by the claims' own table."""
    let_go(view)
    if view.resource.status.gpus:
        view.write(gpus=())
    return Done()


def _claim(view: VirtualMachineView, name: str, gpu: GpuAssignment) -> Retry | None:
    claim = _claim_of(view, name, gpu)
    try:
        view.ports.store.create(claim)
    except AlreadyExists:
        return _taken(view, name, gpu)
    return None


def _claim_of(view: VirtualMachineView, name: str, gpu: GpuAssignment) -> GPUClaim:
    """With its status from the start: a claim that a crash leaves behind must know whose instance it waits for."""
    vm, now = view.resource.metadata, view.ports.now()
    owner = ClaimOwner(kind=view.resource.kind, namespace=vm.namespace, name=vm.name, uid=vm.uid)
    return GPUClaim(
        metadata=Metadata(name=name, labels={OWNER_LABEL: vm.uid}),
        spec=GPUClaimSpec(host=gpu.host, address=gpu.address, gpu_name=gpu.name, owner=owner, uuid=gpu.uuid),
        status=GPUClaimStatus(
            bound=True,
            bound_at=now,
            given_at=now,
            machine=_instance(view),
            guest=GuestEvidence(uuid=gpu.uuid, serial=gpu.serial, vbios=gpu.vbios),
        ),
    )


def _instance(view: VirtualMachineView) -> ClaimedInstance:
    known = view.resource.status.machine
    assert known is not None
    return ClaimedInstance(namespace=known.namespace, name=known.name, instance_uid=known.instance_uid, node=known.node)


def _taken(view: VirtualMachineView, name: str, gpu: GpuAssignment) -> Retry:
    """Somebody's claim is there: one on its way home goes soon, and one of a living VM is a contradiction."""
    try:
        known = view.ports.store.get(GPUClaim, name)
    except NotFound:
        return Retry(0.0, "ClaimGone", f"claim {name} has just gone")
    owner = known.spec.owner
    if known.is_released or owner.uid == view.resource.metadata.uid:
        return Retry(WAIT_S, "GPUsBeingCleaned", f"GPU {gpu.uuid} is not let go of by {owner.namespace}/{owner.name} yet")
    what = f"the guest reports GPU {gpu.uuid}, which {owner.kind} {owner.namespace}/{owner.name} has"
    view.tell("GPUClaimedTwice", what, warning=True)
    return Retry(WAIT_S, "GPUClaimedTwice", what)
