"""`hikube gpu vm delete`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.deleting import Removal, delete_all
from cli.machines import Names, machine, machine_key
from cli.options import IgnoreNotFound, Namespace, Timeout, Wait, duration_s
from cli.output import put, say
from cli.session import Session
from provisioner.model.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from provisioner.model.virtual_machine import VirtualMachine

KeepDisk = Annotated[
    str,
    typer.Option("--keep-disk", metavar="DISK", help="Make the VM's own disk a VMDisk of this name, which stays"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go and what would stay; change nothing")]


def delete(
    names: Names,
    keep_disk: KeepDisk = "",
    namespace: Namespace = "default",
    dry_run: DryRun = False,
    wait: Wait = True,
    timeout: Timeout = "30m",
    ignore_not_found: IgnoreNotFound = False,
) -> None:
    """Delete VMs, and wait until their GPUs are clean and back on their drivers, and nothing of them is left.

    The own disk of a VM goes with it, unless --keep-disk makes a VMDisk of it that another VM can boot from; VMDisks stay.
    Exit 11 if a VM does not exist, 10 if something could not be undone (it is listed, and tried again).
    """
    session = Session()
    keys = []
    for name in names:
        try:
            keys.append(machine_key(session, name, namespace))
        except NotFound:
            if not ignore_not_found:
                raise
    if keep_disk:
        _check_kept(session, [key.name for key in keys], keep_disk, namespace)
    if dry_run:
        put("".join(_fate(machine(session, f"{key.kind}/{key.name}", namespace), keep_disk) for key in keys))
        return
    if keep_disk and keys:
        _keep(session, machine(session, f"{keys[0].kind}/{keys[0].name}", namespace), keep_disk)
    delete_all(session, keys, Removal(wait=wait, timeout_s=duration_s(timeout), ignore_not_found=ignore_not_found))
    if keep_disk and keys and wait:
        say(f"its disk is VMDisk {keep_disk}:  hikube disk show {keep_disk}")


def _check_kept(session: Session, names: list[str], disk: str, namespace: str) -> None:
    from provisioner.model.metadata import Key
    from provisioner.model.names import LONGEST_VM_NAME, problem_with_name
    from provisioner.model.vm_disk import VMDisk

    if len(names) > 1:
        raise InvalidInput("--keep-disk is for one VM at a time", why=f"{len(names)} were named")
    if problem := problem_with_name(disk, longest=LONGEST_VM_NAME):
        raise InvalidInput(f"--keep-disk {disk!r} is no name of a disk", why=problem)
    if session.find(Key(VMDisk.KIND, namespace, disk)) is not None:
        raise InvalidInput(f"there is a VMDisk {disk} already", hint="another name keeps both")


def _keep(session: Session, vm: VirtualMachine, disk: str) -> None:
    from cli.patching import patch
    from provisioner.model.vm_disk import KEEP_DISK_ANNOTATION

    if vm.spec.system_disk is None:
        raise InvalidInput(f"{vm.key} has no disk of its own", why="its VMDisks stay in any case", hint="leave --keep-disk out")
    if not vm.is_being_deleted:
        patch(
            session, vm.key, lambda now: now.with_metadata(annotations=now.metadata.annotations | {KEEP_DISK_ANNOTATION: disk})
        )


def _fate(vm: VirtualMachine, keep_disk: str) -> str:
    lines = [f"{vm.kind.lower()}/{vm.metadata.name} would be deleted"]
    if vm.spec.system_disk is not None:
        size = vm.spec.system_disk.storage
        lines.append(f"  its own disk of {size} " + (f"would become VMDisk {keep_disk}" if keep_disk else "goes with it"))
    lines += [f"  vmdisk/{disk.name} stays" for disk in vm.spec.disks]
    lines += [f"  {gpu.name} {gpu.address} on {gpu.host} is given back" for gpu in vm.status.gpus]
    return "".join(f"{line}\n" for line in lines)
