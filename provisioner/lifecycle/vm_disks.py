"""The life of a VMDisk: it waits for a host, gets its content there, and is a volume until it is deleted.

    host -> content -> volume

A disk is bound to the host of the first VM that uses it (a volume cannot be seen from another host), so an unused disk is
Pending, as a volume that waits for its first consumer is in Kubernetes. Deletion waits for the VM that uses it.
"""

from __future__ import annotations

from functools import cached_property

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.lifecycle.background import Meter
from provisioner.lifecycle.hypervisors import WatchedHypervisor
from provisioner.lifecycle.images import digest_of, image_at, image_of, stage
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.steps import UNBOUNDED, Lifecycle, Step, nothing
from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.lifecycle.view import View
from provisioner.lifecycle.virtual_machine.attachments import user_of
from provisioner.model import domain_names
from provisioner.model.errors import NotFound
from provisioner.model.gpu_host import GPUHost
from provisioner.model.image import Image
from provisioner.model.metadata import Key, Resource
from provisioner.model.quantities import bytes_of
from provisioner.model.vm_disk import VMDisk
from provisioner.store.protocol import Change, ChangeType

FINALIZER = "hikube.cloud/volume"
IN_USE_S = 10.0
FAILED_RETRY_S = 300.0
"""What failed for a reason that may pass (a full pool, an image server that is away) is tried again, slowly."""


class VMDiskView(View[VMDisk]):
    """A disk during one pass."""

    @cached_property
    def host(self) -> GPUHost:
        """The host that it is on. Raises NotFound where there is none."""
        return self.ports.store.get(GPUHost, self.resource.status.host)

    @cached_property
    def hypervisor(self) -> Hypervisor:
        """A connection to that host."""
        return WatchedHypervisor.over(self.ports.connections, self.host.spec.uri)

    @cached_property
    def image(self) -> Image | None:
        """Where the content comes from; None for a blank disk and for a copy of another."""
        source = self.resource.spec.source
        if source.image is not None:
            return image_of(source.image.name, self.ports)
        return image_at(source.http.url) if source.http is not None else None

    @property
    def volume(self) -> str:
        """The disk's volume on its host."""
        return domain_names.disk_volume(self.resource.metadata.namespace, self.resource.metadata.name)


def wait_for_host(view: VMDiskView) -> Verdict:
    """A VM has brought the disk to its host."""
    if not view.resource.status.host:
        return Retry(60.0, "WaitForFirstConsumer", "no VM uses it yet")
    return Done(view.resource.status.host)


def fetch_content(view: VMDiskView) -> Verdict:
    """What the disk starts from is on the host."""
    source = view.resource.spec.source
    if source.upload is not None:
        return Retry(60.0, "WaitingForUpload", "its content has not been uploaded yet")
    if source.disk is not None:
        return _copied_disk_ready(view, source.disk.name)
    if view.image is None:
        return Done("blank")
    outcome = stage(view.image, view.host, view.hypervisor, view.ports)
    if isinstance(outcome, Meter):
        return Retry(1.0, "Staging", f"image `{view.image.metadata.name}` {outcome}".rstrip())
    return Done(outcome.name)


def make_volume(view: VMDiskView) -> Verdict:
    """The volume exists with its size."""
    spec, pool, volumes = view.resource.spec, view.host.spec.storage_pool, view.hypervisor.volumes
    size_bytes = bytes_of(spec.storage)
    volume = volumes.find(pool, view.volume)
    if volume is None:
        volume = volumes.create(pool, view.volume, size_bytes=size_bytes, base=_base(view))
    if volume.capacity_bytes < size_bytes:
        if view.resource.status.used_by and _is_running(view):
            user = view.resource.status.used_by
            return Retry(IN_USE_S, "GrowsOnRestart", f"grows when `{user}` is stopped", is_patient=True)
        volume = volumes.resize(pool, view.volume, size_bytes=size_bytes)
    view.write(volume=volume.name, capacity_bytes=volume.capacity_bytes)
    return Done(volume.name)


def delete_volume(view: VMDiskView) -> Verdict:
    """The volume is gone."""
    if view.resource.status.host:
        view.hypervisor.volumes.delete(view.host.spec.storage_pool, view.volume)
    return Done()


VM_DISK: Lifecycle[VMDiskView] = Lifecycle(
    # Both wait for somebody else, for as long as that takes.
    Step("host", do=wait_for_host, undo=nothing, within=lambda _: UNBOUNDED, sets="Bound"),
    # Base images are shared and named by content: they stay.
    Step("content", do=fetch_content, undo=nothing, within=lambda _: UNBOUNDED, sets="ContentReady"),
    Step("volume", do=make_volume, undo=delete_volume, within=lambda _: 600.0, sets="Ready", keeps_data=True),
)


class VMDiskReconciler:
    """Owns VMDisk."""

    kinds: tuple[type[Resource], ...] = (VMDisk,)

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._hosts: dict[Key, str] = {}
        self._seen: dict[Key, tuple[int, bool, str, str]] = {}
        """What of a disk matters to its passes; what they write themselves does not."""

    def reconcile(self, key: Key) -> float | None:
        """One pass."""
        try:
            view = VMDiskView(self._ports.store.get(VMDisk, key.name, namespace=key.namespace), self._ports)
        except NotFound:
            self._hosts.pop(key, None)
            self._seen.pop(key, None)
            return None
        self._hosts[key] = view.resource.status.host
        if view.resource.is_being_deleted:
            return self._remove(view)
        view.ensure_finalizer(FINALIZER)
        return self._bring_up(view)

    def concerns(self, change: Change) -> tuple[Key, ...]:
        """Own changes of spec, and of what VMs write into the status: a VM binds the disk by writing its host there."""
        resource = change.resource
        if not isinstance(resource, VMDisk) or change.type is ChangeType.DELETED:
            return ()
        status = resource.status
        seen = (resource.metadata.generation, resource.is_being_deleted, status.host, status.used_by)
        is_news = change.type is ChangeType.ADDED or self._seen.get(resource.key) != seen
        self._seen[resource.key] = seen
        return (resource.key,) if is_news else ()

    def group_of(self, key: Key) -> str:
        """The disk's host."""
        return self._hosts.get(key, "")

    def _bring_up(self, view: VMDiskView) -> float | None:
        if view.resource.status.phase == "Failed":
            if _is_same_generation(view):
                return None
            view.write(steps=(), phase="Pending")
        verdict = VM_DISK.advance(view, settled=set())
        if isinstance(verdict, Done):
            view.write(phase="Ready")
            return None
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
        if user_of(view.resource, self._ports) is not None:
            view.write(view.condition("Ready", "False", "InUse", f"waits for `{status.used_by}`"), phase="Deleting")
            return IN_USE_S
        verdict = VM_DISK.unwind(view, keep_data=False) if _host_is_known(view) else _left_behind(view)
        if isinstance(verdict, Done):
            if FINALIZER in view.resource.metadata.finalizers:
                view.remove_finalizer(FINALIZER)
            return None
        view.write(view.condition("CleanedUp", "False", "Stuck", verdict.message), phase="Deleting")
        return IN_USE_S


def _copied_disk_ready(view: VMDiskView, name: str) -> Verdict:
    origin = view.ports.store.get(VMDisk, name, namespace=view.resource.metadata.namespace)
    if origin.status.host not in ("", view.resource.status.host):
        return Abort("DiskElsewhere", f"VMDisk `{name}` is on host `{origin.status.host}`")
    if origin.status.phase != "Ready":
        return Retry(5.0, "DiskNotReady", f"VMDisk `{name}` is {origin.status.phase}")
    return Abort("CopyUnsupported", "copies of disks are not supported by this version", is_final=True)


def _base(view: VMDiskView) -> str:
    if view.image is None:
        return ""
    image = image_at(view.image.spec.url) if view.resource.spec.source.http is not None else view.image
    known = image_of(image.metadata.name, view.ports)
    return domain_names.base_volume(digest_of(known), image_format=known.spec.format)


def _host_is_known(view: VMDiskView) -> bool:
    try:
        return not view.resource.status.host or bool(view.host)
    except NotFound:
        return False


def _left_behind(view: VMDiskView) -> Done:
    host, name = view.resource.status.host, view.volume
    view.tell("LeftBehind", f"host `{host}` is not known any more; volume `{name}` stays there", warning=True)
    return Done()


def _is_running(view: VMDiskView) -> bool:
    user = user_of(view.resource, view.ports)
    return user is not None and bool(user.status.domain)


def _is_same_generation(view: VMDiskView) -> bool:
    return view.resource.status.observed_generation == view.resource.metadata.generation
