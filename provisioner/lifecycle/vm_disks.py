"""Drives VMDisks: which changes are worth a pass over which disk, and the pass itself. The table: vm_disk/table.py.

A disk that has failed for good waits for a change of its spec; deletion waits for the VM that uses it, and for a copy that is
being made from it.
"""

from __future__ import annotations

from provisioner.lifecycle.disk_users import copier_of
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.verdicts import Abort, Done, Retry
from provisioner.lifecycle.vm_disk.table import VM_DISK
from provisioner.lifecycle.vm_disk.view import VMDiskView
from provisioner.model.errors import NotFound
from provisioner.model.metadata import Key, Resource
from provisioner.model.vm_disk import ADOPT_ANNOTATION, FINALIZER, HOST_ANNOTATION, UPLOADED_ANNOTATION, VMDisk
from provisioner.store.protocol import Change, ChangeType

__all__ = ["FINALIZER", "VM_DISK", "VMDiskReconciler", "VMDiskView"]

IN_USE_S = 10.0
FAILED_RETRY_S = 300.0
"""What failed for a reason that may pass (a full pool, an image server that is away) is tried again, slowly."""
WISHES = (HOST_ANNOTATION, ADOPT_ANNOTATION, UPLOADED_ANNOTATION)
"""Annotations that change what a pass does."""


class VMDiskReconciler:
    """Owns VMDisk."""

    kinds: tuple[type[Resource], ...] = (VMDisk,)

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._hosts: dict[Key, str] = {}
        self._seen: dict[Key, tuple[object, ...]] = {}
        """What of a disk matters to its passes; what they write themselves does not."""
        self._origins: dict[Key, Key] = {}
        """Of copies that are not made yet."""
        self._ready: set[Key] = set()

    def reconcile(self, key: Key) -> float | None:
        """One pass."""
        try:
            view = VMDiskView(self._ports.store.get(VMDisk, key.name, namespace=key.namespace), self._ports)
        except NotFound:
            self._forget(key)
            return None
        self._hosts[key] = view.resource.status.host
        if view.resource.is_being_deleted:
            return self._remove(view)
        view.ensure_finalizer(FINALIZER)
        return self._bring_up(view)

    def concerns(self, change: Change) -> tuple[Key, ...]:
        """Own changes of spec and wishes, what VMs write into the status (to bind the disk), and origins that get ready."""
        disk = change.resource
        if not isinstance(disk, VMDisk):
            return ()
        copies = self._copies_of(disk)
        if change.type is ChangeType.DELETED:
            return copies
        metadata, status = disk.metadata, disk.status
        wishes = tuple(metadata.annotations.get(name, "") for name in WISHES)
        seen = (metadata.generation, disk.is_being_deleted, status.host, status.used_by, wishes)
        is_news = change.type is ChangeType.ADDED or self._seen.get(disk.key) != seen
        self._seen[disk.key] = seen
        return (disk.key, *copies) if is_news else copies

    def group_of(self, key: Key) -> str:
        """The disk's host."""
        return self._hosts.get(key, "")

    def _copies_of(self, disk: VMDisk) -> tuple[Key, ...]:
        """The disks that wait for this one, if it has become ready; and note what this one waits for."""
        source = disk.spec.source.disk
        if source is None or disk.status.volume:
            self._origins.pop(disk.key, None)
        else:
            self._origins[disk.key] = Key(VMDisk.KIND, disk.metadata.namespace, source.name)
        was_ready = disk.key in self._ready
        if disk.status.phase != "Ready":
            self._ready.discard(disk.key)
            return ()
        self._ready.add(disk.key)
        return () if was_ready else tuple(key for key, origin in self._origins.items() if origin == disk.key)

    def _forget(self, key: Key) -> None:
        self._hosts.pop(key, None)
        self._seen.pop(key, None)
        self._origins.pop(key, None)
        self._ready.discard(key)

    def _bring_up(self, view: VMDiskView) -> float | None:
        if view.resource.status.phase == "Failed":
            if _is_same_generation(view):
                return None
            view.write(steps=(), phase="Pending")
        verdict = VM_DISK.advance(view, settled=set())
        if isinstance(verdict, Done):
            view.write(phase="Ready")
            is_short = view.resource.status.capacity_bytes < view.size_bytes and not view.resource.spec.optical
            return FAILED_RETRY_S if is_short else None
        phase = "Bound" if view.resource.status.host else "Pending"
        if isinstance(verdict, Retry):
            view.write(view.condition("Ready", "False", verdict.reason, verdict.message), phase=phase)
            return verdict.after_s
        view.tell("DiskFailed", verdict.message, warning=True)
        is_final = isinstance(verdict, Abort) and verdict.is_final
        failed = view.condition("Ready", "False", "Failed", verdict.message)
        view.write(failed, phase="Failed" if is_final else phase, steps=())
        return None if is_final else FAILED_RETRY_S

    def _remove(self, view: VMDiskView) -> float | None:
        status = view.resource.status
        if view.user is not None:
            view.write(view.condition("Ready", "False", "InUse", f"waits for `{status.used_by}`"), phase="Deleting")
            return IN_USE_S
        copier = copier_of(view.resource, self._ports)
        if copier and status.volume:
            view.write(view.condition("Ready", "False", "BeingCopied", f"waits for its copy `{copier}`"), phase="Deleting")
            return IN_USE_S
        verdict = VM_DISK.unwind(view, keep_data=False) if _host_is_known(view) else _left_behind(view)
        if isinstance(verdict, Done):
            if FINALIZER in view.resource.metadata.finalizers:
                view.remove_finalizer(FINALIZER)
            return None
        is_copying = isinstance(verdict, Retry) and verdict.reason == "Copying"
        reason = "Copying" if is_copying else "Stuck"
        view.write(view.condition("CleanedUp", "False", reason, verdict.message), phase="Deleting")
        return IN_USE_S


def _host_is_known(view: VMDiskView) -> bool:
    try:
        return not view.resource.status.host or bool(view.host)
    except NotFound:
        return False


def _left_behind(view: VMDiskView) -> Done:
    host, name = view.resource.status.host, view.volume
    view.tell("LeftBehind", f"host `{host}` is not known any more; volume `{name}` stays there", warning=True)
    return Done()


def _is_same_generation(view: VMDiskView) -> bool:
    return view.resource.status.observed_generation == view.resource.metadata.generation
