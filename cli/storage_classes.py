"""Telling when a `storageClass` asks for something that no host gives: the disk is made all the same, in the usual pool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cli.output import say
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Resource
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.model.vm_disk import VMDisk, VMDiskSpec

if TYPE_CHECKING:
    from cli.session import Session

DEFAULT_CLASS = VMDiskSpec().storage_class
"""What documents have that say nothing: worth a word only where an operator maps classes at all."""


def warn_of_classes(session: Session, resources: Iterable[Resource]) -> None:
    """Say on stderr which classes of these have no effect, once each."""
    wanted = {storage_class for resource in resources for storage_class in _classes_of(resource)}
    if not wanted:
        return
    maps = {item["metadata"]["name"]: item["spec"].get("storageClasses", {}) for item in session.raw(GPUHost.KIND)}
    for sentence in without_effect(wanted, maps):
        say(f"warning: {sentence}")


def without_effect(wanted: Iterable[str], maps: dict[str, dict[str, str]]) -> Iterator[str]:
    """A sentence for each class that some host does not map. `maps` has the pools by class, by host."""
    is_used = any(maps.values())
    for storage_class in sorted(wanted):
        missing = sorted(host for host, classes in maps.items() if storage_class not in classes)
        if missing and (is_used or storage_class != DEFAULT_CLASS):
            where = "any host" if len(missing) == len(maps) else f"host {', '.join(missing)}"
            yield (
                f"storageClass {storage_class} has no effect on {where}: no pool is mapped to it there "
                "(spec.storageClasses of the GPUHost), and disks go to its storagePool"
            )


def _classes_of(resource: Resource) -> Iterator[str]:
    if isinstance(resource, VMDisk):
        yield resource.spec.storage_class
    elif isinstance(resource, VirtualMachine) and resource.spec.system_disk is not None:
        yield resource.spec.system_disk.storage_class
