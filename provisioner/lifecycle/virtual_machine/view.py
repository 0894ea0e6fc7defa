"""A VM during one pass: its resource, its host, its claims, and what it is called there. Reads lazily, at most once a pass."""

from __future__ import annotations

from functools import cached_property

from provisioner.drivers.hypervisor import Domain, Hypervisor
from provisioner.drivers.machine_cluster import Machine, MachineCluster, MachineState
from provisioner.lifecycle.hypervisors import WatchedCluster, WatchedHypervisor
from provisioner.lifecycle.images import image_of
from provisioner.lifecycle.view import View
from provisioner.model import domain_names
from provisioner.model.clock import seconds
from provisioner.model.errors import InvalidInput, NotFound
from provisioner.model.examination import HostExamination
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.guest_report import GuestReport
from provisioner.model.image import Image
from provisioner.model.sizing import GuestSize, guest_size
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.model.vm_disk import VMDisk
from provisioner.planning.budgets import budgets
from provisioner.planning.hardware.window import bars_of_assigned
from provisioner.planning.host_labels import is_nested_emulation
from provisioner.planning.plans import Budgets

OWNER_LABEL = "hikube.cloud/owner-uid"
EXAMINE_TIMEOUT_S = 60.0


class VirtualMachineView(View[VirtualMachine]):
    """What the steps of a VM see."""

    report: GuestReport | None = None
    """What the guest said in this pass."""
    _examination: HostExamination | None = None

    @cached_property
    def domain_name(self) -> str:
        """The VM's domain on its host."""
        return domain_names.domain_name(self.key)

    @property
    def mac_addresses(self) -> tuple[str, ...]:
        """One per interface, computed from the VM's uid: the same for its whole life."""
        count = max(1, len(self.resource.spec.networks))
        return tuple(domain_names.mac_address(self.resource.metadata.uid, index=index) for index in range(count))

    @cached_property
    def size(self) -> GuestSize:
        """vCPUs and memory that the spec asks for."""
        return guest_size(self.resource.spec, self.ports.tables)

    @cached_property
    def host(self) -> GPUHost:
        """The host that the VM is on.

        Raises:
            NotFound: it has none, or the host was removed.
        """
        if not self.resource.status.host:
            raise NotFound(f"{self.key} has no host yet")
        return self.ports.store.get(GPUHost, self.resource.status.host)

    @cached_property
    def hypervisor(self) -> Hypervisor:
        """A connection to the host; one that notes when the host stops answering."""
        uri = self.host.spec.uri
        return WatchedHypervisor.over(self.ports.connections, uri)

    @property
    def is_on_cluster(self) -> bool:
        """Whether its host is a KubeVirt cluster; known without asking for the host."""
        return self.resource.status.machine is not None

    @cached_property
    def cluster(self) -> MachineCluster:
        """A connection to the KubeVirt cluster; one that notes when it stops answering."""
        return WatchedCluster.over(self.ports.cluster_connections, self.host.spec.uri)

    def look_at_machine(self) -> Machine | None:
        """The VM's machine on its cluster as it is at this moment; None: there is none of this VM."""
        known = self.resource.status.machine
        found = self.cluster.look(known.namespace, known.name) if known is not None else None
        return found if found is not None and found.owner_uid == self.resource.metadata.uid else None

    def instance_runs(self) -> bool:
        """Whether the very instance that was brought up on the cluster runs at this moment."""
        known, found = self.resource.status.machine, self.look_at_machine()
        if known is None or found is None or found.state is not MachineState.RUNNING:
            return False
        return known.instance_uid in ("", found.instance_uid)

    @property
    def pool(self) -> str:
        """The storage pool that holds the VM's volumes."""
        return self.host.spec.storage_pool

    def look(self) -> Domain | None:
        """The domain as it is at this moment."""
        return self.hypervisor.domains.look(self.domain_name)

    def claims(self) -> tuple[GPUClaim, ...]:
        """The claims that this VM owns, whether its status knows them or not; those that it has let go of are not its own."""
        labels = {OWNER_LABEL: self.resource.metadata.uid}
        return tuple(claim for claim in self.ports.store.list(GPUClaim, labels=labels).items if not claim.is_released)

    def examination(self) -> HostExamination:
        """The host from inside, with the VM's GPUs and their groups; asked once a pass, unless it is forgotten."""
        if self._examination is None:
            addresses = [claim.spec.address for claim in self.claims()]
            self._examination = self.hypervisor.inventory.examine(addresses, timeout_s=EXAMINE_TIMEOUT_S)
        return self._examination

    def forget_examination(self) -> None:
        """What was changed since is to be seen by the next look."""
        self._examination = None

    @cached_property
    def image(self) -> Image | None:
        """The golden image of the system disk; None for a VM that boots from VMDisks."""
        disk = self.resource.spec.system_disk
        return image_of(disk.image, self.ports) if disk is not None else None

    @property
    def firmware(self) -> str:
        """`bios`, `efi` or `any`: the spec's word, else that of the image that the VM boots from, else BIOS."""
        image = self.image
        if image is None and self.disks:
            source = self.disks[0].spec.source.image
            image = image_of(source.name, self.ports) if source is not None else None
        return self.resource.spec.firmware or (image.spec.firmware if image is not None else "bios")

    @cached_property
    def disks(self) -> tuple[VMDisk, ...]:
        """The VMDisks that the spec names, in boot order.

        Raises:
            NotFound: one does not exist.
        """
        namespace = self.resource.metadata.namespace
        return tuple(self.ports.store.get(VMDisk, disk.name, namespace=namespace) for disk in self.resource.spec.disks)

    def look_at_disks_again(self) -> None:
        """Forget what was read of them in this pass."""
        self.__dict__.pop("disks", None)

    def stopping_for_s(self) -> float:
        """Seconds since undoing began; 0 while going forward."""
        since = self.resource.status.stopping_since
        return self.ports.clock.now_s() - seconds(since) if since else 0.0

    @cached_property
    def budgets(self) -> Budgets:
        """How long the long steps may take for a VM of this size on its host."""
        gpus, size = self.resource.status.gpus, self.size_or_running()
        if not self.resource.status.host:
            return budgets(size, gpu_count=len(gpus), bar_bytes=())
        known = bars_of_assigned(gpus, self.host, self.ports.tables.gpus)
        bars = tuple(size for each in known for size in each.sizes)
        is_emulated = is_nested_emulation(self.host) or self.host.status.kvm.works is False
        return budgets(size, gpu_count=len(gpus), bar_bytes=bars, is_emulated=is_emulated)

    def size_or_running(self) -> GuestSize:
        """A VM whose instance type an operator took away must still come down: then the size that it runs with counts."""
        try:
            return self.size
        except InvalidInput:
            running = self.resource.status.running_spec
            return GuestSize(1, running.vcpus if running else 1, running.memory_mib if running else 0)
