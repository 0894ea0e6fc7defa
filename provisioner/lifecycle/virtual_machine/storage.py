"""Steps `image` and `disk`: the base image on the host, the VM's own overlay over it, and the VMDisks that it names."""

from __future__ import annotations

from provisioner.lifecycle.background import Meter
from provisioner.lifecycle.images import base_of, image_of, stage
from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.lifecycle.virtual_machine.attachments import disks_obstacle, is_kept_for, release_disks, user_name
from provisioner.lifecycle.virtual_machine.domain import is_running
from provisioner.lifecycle.virtual_machine.system_disk import keep_or_delete, system_place
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.lifecycle.vm_disk.content import too_small
from provisioner.model import domain_names
from provisioner.model.quantities import bytes_of
from provisioner.model.vm_disk import VMDisk
from provisioner.planning.restart import SYSTEM_DISK

POLL_S = 1.0


def stage_image(view: VirtualMachineView) -> Verdict:
    """The golden image is a base volume of the host's pool."""
    if view.image is None:
        return Done("boots from VMDisks")
    system = system_place(view)
    outcome = stage(view.image, view.host, view.hypervisor, view.ports, pool=system.pool, waiter=view.key)
    if isinstance(outcome, Meter):
        return Retry(POLL_S, "Staging", f"image `{view.image.metadata.name}` {outcome}".rstrip())
    wanted_bytes = bytes_of(view.resource.spec.system_disk.storage) if view.resource.spec.system_disk else 0
    if outcome.capacity_bytes > wanted_bytes and not view.resource.status.system_volume:
        return too_small(f"image `{view.image.metadata.name}`", needs_bytes=outcome.capacity_bytes, has_bytes=wanted_bytes)
    view.image = image_of(view.image.metadata.name, view.ports)  # its digest is known now
    return Done(view.image.metadata.name)


def make_disks(view: VirtualMachineView) -> Verdict:
    """The system disk exists with its size, and every VMDisk is ready on this host."""
    spec = view.resource.spec
    if spec.system_disk is not None:
        refused = _make_system_disk(view, bytes_of(spec.system_disk.storage))
        if refused is not None:
            return refused
    if not _has_to_do_with_disks(view) or is_running(view):
        return Done()  # a running guest has what was given to it before it was started
    wanted = [disk for disk in view.disks if not disk.is_being_deleted or is_kept_for(disk, view.key)]
    release_disks(view, but=frozenset(disk.metadata.name for disk in wanted))
    view.look_at_disks_again()  # a copy may have been begun since `reserve` looked
    waiting = disks_obstacle(view)  # before the first is taken, so that two VMs do not hold what the other one waits for
    if waiting is not None:  # it may take for ever, and must not keep GPUs from others: the wait is before `reserve`
        return waiting if isinstance(waiting, Abort) else Abort(waiting.reason, waiting.message)
    return _attached(view)


def delete_disks(view: VirtualMachineView) -> Verdict:
    """The system disk is gone; VMDisks stay, and are free for another VM. Nothing binds the VM to its host any more."""
    if not view.resource.status.host:
        return Done()
    left = keep_or_delete(view)
    if left is not None:
        return left
    view.hypervisor.volumes.delete(view.pool, domain_names.console_log_volume(view.domain_name))
    release_disks(view)
    view.write(first_ready="", host="", system_volume="", system_pool="")
    return Done()


def _make_system_disk(view: VirtualMachineView, size_bytes: int) -> Verdict | None:
    volumes, place = view.hypervisor.volumes, system_place(view)
    view.write(system_volume=place.volume, system_pool=place.pool)
    found = volumes.find(place.pool, place.volume)
    if found is None:
        assert view.image is not None
        found = volumes.create(place.pool, place.volume, size_bytes=size_bytes, base=base_of(view.image))
    if found.capacity_bytes < size_bytes and not is_running(view):  # a running guest's disk grows with its next start
        found = volumes.resize(place.pool, place.volume, size_bytes=size_bytes)
    return None


def _has_to_do_with_disks(view: VirtualMachineView) -> bool:
    """Whether its spec names VMDisks, or the domain that it had last did."""
    running = view.resource.status.running_spec
    had = running is not None and any(disk.partition("=")[0] != SYSTEM_DISK for disk in running.disks)
    return bool(view.resource.spec.disks) or had


def _attached(view: VirtualMachineView) -> Verdict:
    for disk in view.disks:
        waiting = _attach(view, disk)
        if waiting is not None:
            return waiting
    return Done()


def _attach(view: VirtualMachineView, disk: VMDisk) -> Verdict | None:
    """Give the disk to this VM and this host; None once it is ready."""
    me, here = user_name(view.key), view.host.metadata.name
    if disk.status.host not in ("", here):
        return Abort("DiskElsewhere", f"VMDisk `{disk.metadata.name}` is on host `{disk.status.host}`, the VM on `{here}`")
    if disk.status.used_by != me or disk.status.host != here:
        view.ports.store.update_status(disk.with_status(used_by=me, host=here))
    is_there = disk.status.phase == "Ready" or (disk.is_being_deleted and disk.status.volume)
    if not is_there:
        return Retry(POLL_S, "DiskNotReady", f"VMDisk `{disk.metadata.name}` is {disk.status.phase}")
    return None
