"""A VMDisk during one pass: its resource, its host, its pool, and what its volume is called there."""

from __future__ import annotations

from functools import cached_property

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.drivers.volumes import Volume, Volumes
from provisioner.lifecycle.disk_users import user_of
from provisioner.lifecycle.hypervisors import WatchedHypervisor
from provisioner.lifecycle.images import image_at, image_of
from provisioner.lifecycle.view import View
from provisioner.model import domain_names
from provisioner.model.gpu_host import GPUHost
from provisioner.model.image import Image
from provisioner.model.quantities import bytes_of
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.model.vm_disk import VMDisk


class VMDiskView(View[VMDisk]):
    """What the steps of a disk see."""

    @cached_property
    def host(self) -> GPUHost:
        """The host that it is on. Raises NotFound where there is none."""
        return self.ports.store.get(GPUHost, self.resource.status.host)

    @cached_property
    def hypervisor(self) -> Hypervisor:
        """A connection to that host."""
        return WatchedHypervisor.over(self.ports.connections, self.host.spec.uri)

    @property
    def volumes(self) -> Volumes:
        """The storage of that host."""
        return self.hypervisor.volumes

    @property
    def pool(self) -> str:
        """The storage pool that has its volume, or shall have it."""
        return self.resource.status.pool or self.host.spec.pool_of(self.resource.spec.storage_class)

    @property
    def size_bytes(self) -> int:
        """The size that the spec asks for."""
        return bytes_of(self.resource.spec.storage)

    @property
    def volume(self) -> str:
        """The disk's volume on its host."""
        metadata = self.resource.metadata
        return self.resource.status.volume or domain_names.disk_volume(metadata.namespace, metadata.name)

    def volumes_there(self) -> tuple[Volume, ...]:
        """What lies in the pool under the disk's name, in whatever format. One call to the host."""
        metadata = self.resource.metadata
        names = {
            domain_names.disk_volume(metadata.namespace, metadata.name, ending=ending) for ending in domain_names.DISK_ENDINGS
        }
        stem = domain_names.disk_stem(metadata.namespace, metadata.name)
        return tuple(volume for volume in self.volumes.list(self.pool, prefix=f"{stem}.") if volume.name in names)

    @property
    def image(self) -> Image | None:
        """Where the content comes from, as it is known now; None for a blank disk, a copy of another, and an upload."""
        source = self.resource.spec.source
        if source.image is not None:
            return image_of(source.image.name, self.ports)
        return image_at(source.http, self.ports) if source.http is not None else None

    @property
    def user(self) -> VirtualMachine | None:
        """The VM that has it attached, if it still exists."""
        return user_of(self.resource, self.ports)

    @property
    def is_in_a_running_guest(self) -> bool:
        """Whether a domain is made, or runs, with it."""
        user = self.user
        return user is not None and bool(user.status.domain)
