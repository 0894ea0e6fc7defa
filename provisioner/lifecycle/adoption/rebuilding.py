"""From a record to the objects that it was written from, as they are on the host now. Reads nothing and decides nothing.

Uids stay what they were, since names, MAC addresses and marks on the host are made from them. The status says what a control
loop would have observed: a VM that was handed over and runs is Ready and is not proven anew, since its tenant has it; one that
was on its way up goes on from where its domain is; a stopped one is stopped.
"""

from __future__ import annotations

from typing import Any, TypeVar

from provisioner.drivers.hypervisor import Domain, DomainState
from provisioner.lifecycle.steps import Lifecycle
from provisioner.lifecycle.virtual_machine import access
from provisioner.lifecycle.virtual_machine.attachments import user_name
from provisioner.lifecycle.virtual_machine.goal import Goal, goal
from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.lifecycle.virtual_machine.view import OWNER_LABEL
from provisioner.lifecycle.vm_disks import FINALIZER as DISK_FINALIZER
from provisioner.lifecycle.vm_disks import VM_DISK
from provisioner.model.gpu_claim import ClaimOwner, GPUClaim
from provisioner.model.gpu_host import GPUHost, claim_name
from provisioner.model.image import Image
from provisioner.model.kinds import KINDS
from provisioner.model.machine_record import MachineRecord, RecordedObject
from provisioner.model.metadata import Condition, Metadata, OwnerReference, Resource
from provisioner.model.secret import Secret, SecretSpec
from provisioner.model.virtual_machine import FINALIZER, Phase, VirtualMachine
from provisioner.model.vm_disk import VMDisk

R = TypeVar("R", bound=Resource)

REASON = "Adopted"


def host_of(record: MachineRecord, *, name: str, uri: str) -> GPUHost:
    """The GPUHost as its operator had set it up, under this name and URI."""
    return _loaded(GPUHost, name=name, labels=record.host.labels, spec=record.host.spec | {"uri": uri})


def machine_of(record: MachineRecord, domain: Domain, *, host: str, now: str) -> VirtualMachine:
    """The VM, with the status that its domain deserves."""
    known = record.machine
    metadata = _metadata(known, namespace=record.namespace, finalizer=FINALIZER)
    status = known.status | {"host": host, "observedGeneration": 1}
    if record.is_parked:
        status |= {"gpus": [], "domain": "", "domainUuid": "", "address": "", "phase": Phase.STOPPED.value}
        status.pop("runningSpec", None)
    else:
        status |= {
            "domain": domain.name,
            "domainUuid": domain.uuid,
            "gpus": [gpu | {"host": host} for gpu in known.status.get("gpus", ())],
            "phase": Phase.READY.value if record.is_handed_over else Phase.BOOTING.value,
        }
    kind = KINDS[record.kind]
    vm = kind.model_validate({"metadata": metadata.as_json(), "spec": known.spec, "status": status})
    assert isinstance(vm, VirtualMachine)
    if record.is_parked and goal(vm) is not Goal.DOWN:
        vm = vm.with_status(phase=Phase.PENDING)
    return vm.with_status(conditions=_conditions(record, domain, vm, now=now))


def _conditions(record: MachineRecord, domain: Domain, vm: VirtualMachine, *, now: str) -> tuple[Condition, ...]:
    """A handed-over VM is Ready whatever its domain does now: the control loop sees that it stopped, as it would have then."""
    if record.is_parked:
        reason = "Stopped" if vm.status.phase is Phase.STOPPED else REASON
        return (_condition("Ready", "False", reason, "adopted as it was found", now),)
    steps = VIRTUAL_MACHINE.steps
    if not record.is_handed_over:
        last = "start" if domain.state is DomainState.RUNNING else "define"
        steps = steps[: [step.name for step in steps].index(last) + 1]
    found = tuple(_condition(step.sets, "True", REASON, "adopted as it was found", now) for step in steps)
    return found if record.is_handed_over else (*found, _condition("Ready", "False", REASON, "adopted on its way up", now))


def claims_of(record: MachineRecord, *, host: str, now: str) -> tuple[GPUClaim, ...]:
    """The claims, which say what must be restored when the VM goes. One that no start had noted counts as given to a guest.

    Those of a stopped VM are released: they are for GPUs that were still on their way home when the store was lost.
    """
    made = []
    owner = ClaimOwner(kind=record.kind, namespace=record.namespace, name=record.machine.name, uid=record.machine.uid)
    for known in record.claims:
        spec = known.spec | {"host": host, "owner": owner.as_json()}
        labels = known.labels | {OWNER_LABEL: record.machine.uid}
        status = known.status | {"givenAt": known.status.get("givenAt") or known.created or now}
        if record.is_parked:
            status |= {"releasedAt": now, "bound": True}
        made.append(_loaded(GPUClaim, name=claim_name(host, spec["address"]), labels=labels, spec=spec, status=status))
    return tuple(made)


def disks_of(record: MachineRecord, *, host: str, now: str) -> tuple[VMDisk, ...]:
    """The VMDisks that the VM has, ready and attached to it."""
    made = []
    for known in record.disks:
        status = known.status | {"host": host, "usedBy": user_name(record.key), "phase": "Ready", "observedGeneration": 1}
        metadata = _metadata(known, namespace=record.namespace, finalizer=DISK_FINALIZER)
        disk = VMDisk.model_validate({"metadata": metadata.as_json(), "spec": known.spec, "status": status})
        made.append(disk.with_status(conditions=_all_hold(VM_DISK, now)))
    return tuple(made)


def image_of_record(record: MachineRecord, *, host: str) -> Image | None:
    """The image of the system disk: its digest names the base volume below it."""
    known = record.image
    if known is None:
        return None
    return _loaded(Image, name=known.name, labels=known.labels, spec=known.spec, status=known.status | {"hosts": [host]})


def secret_of(record: MachineRecord) -> Secret | None:
    """The VM's Secret with what of it is public: the key that its guest shows, and the identity that it has.

    None for a VM that never was Ready: the private half may not be on its disk yet, so it gets new keys with its new disk.
    """
    if not record.was_ready:
        return None
    public = {access.HOST_PUBLIC: record.host_public_key, access.INSTANCE_ID: record.instance_id}
    data = {name: value for name, value in public.items() if value}
    owner = OwnerReference(kind=record.kind, name=record.machine.name, uid=record.machine.uid)
    name = access.secret_name(record.machine.name, kind=record.kind)
    metadata = Metadata(name=name, namespace=record.namespace, owner_references=(owner,))
    return Secret(metadata=metadata, spec=SecretSpec(data=data)) if data else None


def _metadata(known: RecordedObject, *, namespace: str, finalizer: str) -> Metadata:
    return Metadata(
        name=known.name,
        namespace=namespace,
        uid=known.uid,
        labels=known.labels,
        annotations=known.annotations,
        creation_timestamp=known.created,
        finalizers=(finalizer,),
    )


def _loaded(
    kind: type[R], *, name: str, labels: dict[str, str], spec: dict[str, Any], status: dict[str, Any] | None = None
) -> R:
    metadata = Metadata(name=name, labels=labels).as_json()
    return kind.model_validate(
        {"apiVersion": kind.API_VERSION, "kind": kind.KIND, "metadata": metadata, "spec": spec, "status": status or {}}
    )


def _all_hold(table: Lifecycle[Any], now: str) -> tuple[Condition, ...]:
    return tuple(_condition(step.sets, "True", REASON, "adopted as it was found", now) for step in table.steps)


def _condition(kind: str, status: Any, reason: str, message: str, now: str) -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=now, observed_generation=1)
