"""Drives VMs: which changes are worth a pass over which VM, and what is remembered in between. The pass itself: passes.py."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.quotas import QuotaNews
from provisioner.lifecycle.virtual_machine.attachments import user_name
from provisioner.lifecycle.virtual_machine.capacity import Offers
from provisioner.lifecycle.virtual_machine.passes import Passes
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.cluster import ClusterMachine
from provisioner.model.domain_names import domain_name
from provisioner.model.errors import NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.gpu_quota import GPUQuota
from provisioner.model.metadata import Key, Resource, find_condition
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, VirtualMachine, VMInstance
from provisioner.model.vm_disk import VMDisk
from provisioner.store.protocol import Change, ChangeType


@dataclass(frozen=True, slots=True)
class _Seen:
    """What of an object matters to others; a change elsewhere is not worth a pass."""

    generation: int
    deleting: bool
    request: str


class VirtualMachineReconciler:
    """Owns VirtualMachine and VMInstance."""

    kinds: tuple[type[Resource], ...] = (VirtualMachine, VMInstance)

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._passes = Passes(ports)
        self._hosts: dict[Key, str] = {}
        self._machines: dict[Key, str] = {}
        """What clusters call the machines of VMs."""
        self._users: dict[tuple[str, str], Key] = {}
        """VMs by namespace and the name that a disk knows its user by."""
        self._waiting: dict[Key, None] = {}
        """VMs that wait for capacity, in the order in which they began to; a set would have none that can be repeated."""
        self._offers = Offers()
        self._quota_news = QuotaNews()
        self._seen: dict[Key, _Seen] = {}

    def reconcile(self, key: Key) -> float | None:
        """One pass over the VM of that name."""
        kind = VMInstance if key.kind == "VMInstance" else VirtualMachine
        try:
            view = VirtualMachineView(self._ports.store.get(kind, key.name, namespace=key.namespace), self._ports)
        except NotFound:
            self._forget(key)
            return None
        self._ports.host_watch.know_machine(view.domain_name, key)
        again_s = self._passes.run(view)
        self._is_on(key, view.resource.status.host)
        self._has_machine(key, view.resource.status.machine)
        if _waits_for_capacity(view):
            self._waiting[key] = None
        else:
            self._waiting.pop(key, None)
        return again_s

    def concerns(self, change: Change) -> tuple[Key, ...]:
        """Own changes of spec, deletion and requests; whatever may free capacity, for those that wait; disks, for their VMs."""
        resource = change.resource
        if isinstance(resource, VirtualMachine):
            seen = _Seen(
                resource.metadata.generation,
                resource.is_being_deleted,
                resource.metadata.annotations.get(REQUEST_ANNOTATION, ""),
            )
            is_news = change.type is not ChangeType.MODIFIED or self._seen.get(resource.key) != seen
            self._seen[resource.key] = seen
            freed = tuple(self._waiting) if change.type is ChangeType.DELETED else ()
            return (resource.key, *freed) if is_news else ()
        if isinstance(resource, VMDisk) and resource.status.used_by:
            user = self._users.get((resource.metadata.namespace, resource.status.used_by))
            return (user,) if user is not None else ()
        if isinstance(resource, GPUHost):
            return tuple(self._waiting) if self._offers.may_help(change.type, resource) else ()
        if isinstance(resource, GPUClaim) and change.type is ChangeType.DELETED:
            return tuple(self._waiting)
        if isinstance(resource, GPUQuota) and self._quota_news.may_help(change.type, resource):
            return tuple(key for key in self._waiting if key.namespace == resource.metadata.namespace)
        return ()

    def group_of(self, key: Key) -> str:
        """The VM's host."""
        return self._hosts.get(key, "")

    def _is_on(self, key: Key, host: str) -> None:
        if self._hosts.get(key) != host:
            self._hosts[key] = host
            self._users[key.namespace, user_name(key)] = key
            self._ports.host_watch.machine_is_on(key, Key(GPUHost.KIND, "", host) if host else None)

    def _has_machine(self, key: Key, machine: ClusterMachine | None) -> None:
        """A cluster tells of its machines by namespace and name."""
        name = f"{machine.namespace}/{machine.name}" if machine is not None else ""
        if self._machines.get(key, "") != name:
            self._ports.host_watch.forget_name(self._machines.pop(key, ""))
            if name:
                self._machines[key] = name
                self._ports.host_watch.know_machine(name, key)

    def _forget(self, key: Key) -> None:
        self._has_machine(key, None)
        self._ports.host_watch.forget_machine(domain_name(key))
        self._passes.forget(key)
        self._hosts.pop(key, None)
        self._users.pop((key.namespace, user_name(key)), None)
        self._seen.pop(key, None)
        self._waiting.pop(key, None)


def _waits_for_capacity(view: VirtualMachineView) -> bool:
    """Whether freed capacity may help it; one that goes has given its own back, and many that go must not wake each other."""
    if view.resource.is_being_deleted:
        return False
    found = find_condition(view.resource.status.conditions, "Scheduled")
    return found is not None and found.status == "False"
