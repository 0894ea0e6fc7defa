"""Who has a VMDisk: the VM that it is attached to, and the copy that is being made from it. Read by both sides' reconcilers.

`status.usedBy` is the name of a VMInstance, or `virtualmachine/NAME`: both kinds may have VMDisks, and the same name.
"""

from __future__ import annotations

from provisioner.lifecycle.ports import Ports
from provisioner.model.errors import NotFound
from provisioner.model.metadata import Key, find_condition
from provisioner.model.virtual_machine import Phase, VirtualMachine, VMInstance
from provisioner.model.vm_disk import VMDisk


def user_name(key: Key) -> str:
    """How a VM stands in `status.usedBy`."""
    return key.name if key.kind == VMInstance.KIND else f"{key.kind.lower()}/{key.name}"


def user_of(disk: VMDisk, ports: Ports) -> VirtualMachine | None:
    """The VM that has the disk attached, if it still exists."""
    if not disk.status.used_by:
        return None
    prefix, _, name = disk.status.used_by.rpartition("/")
    kind = VirtualMachine if prefix else VMInstance
    try:
        return ports.store.get(kind, name, namespace=disk.metadata.namespace)
    except NotFound:
        return None


def is_at_rest(vm: VirtualMachine) -> bool:
    """Whether the VM has no guest, and none on its way: it must look at its disks again before it has one."""
    if vm.is_being_deleted or vm.status.domain or vm.status.unwinding or vm.status.stopping_since:
        return False
    scheduled = find_condition(vm.status.conditions, "Scheduled")
    is_on_its_way = scheduled is not None and scheduled.status == "True"
    return vm.status.phase in (Phase.STOPPED, Phase.FAILED) or (vm.status.phase is Phase.PENDING and not is_on_its_way)


def copier_of(origin: VMDisk, ports: Ports) -> str:
    """The name of the disk that is being made from this one; empty if none is."""
    if not origin.status.copied_to:
        return ""
    try:
        copied = ports.store.get(VMDisk, origin.status.copied_to, namespace=origin.metadata.namespace)
    except NotFound:
        return ""
    source = copied.spec.source.disk
    is_for_it = source is not None and source.name == origin.metadata.name and not copied.status.volume
    return copied.metadata.name if is_for_it else ""
