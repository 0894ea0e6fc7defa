"""What a VM asks of a host, with every name resolved: the one input of placement beside the fleet.

`request_for` reads a VM; the command line makes requests of its own (`hikube gpu offers`) without any VM at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from provisioner.model.metadata import Key
from provisioner.model.quantities import bytes_of
from provisioner.model.sizing import GuestSize
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.model.vm_disk import VMDisk
from provisioner.planning.refusals import counted, memory_in_words


@dataclass(frozen=True, slots=True)
class GpuNeed:
    """So many whole GPUs of one model."""

    name: str
    """Canonical resource name."""
    count: int
    label: str = ""
    """The short word for sentences, as in L40S; empty: the name itself."""
    bar_bytes: int = 0
    """The largest memory BAR by the catalogue, for hosts that could not be asked; 0: not known."""

    @property
    def word(self) -> str:
        """What a sentence calls it."""
        return self.label or self.name


@dataclass(frozen=True, slots=True)
class PlacementRequest:
    """What is asked. Fields that are empty ask for nothing."""

    vcpus: int
    memory_mib: int
    gpus: tuple[GpuNeed, ...] = ()
    """One entry per model."""
    owner: Key | None = None
    owner_uid: str = ""
    """Claims and memory of this owner count as free for it."""
    host_selector: Mapping[str, str] = field(default_factory=dict)
    tenant_labels: tuple[tuple[str, str], ...] = ()
    """What the quotas of the owner's namespace ask of a host; `place` fills it in."""
    pinned_hosts: tuple[str, ...] = ()
    """Where its disks already are. More than one name fits nowhere: disks cannot move."""
    storage_bytes: int = 0
    """What is still to be made on the host."""
    storage_pool: str = ""
    """Empty: the host's own."""
    storage_by_class: Mapping[str, int] = field(default_factory=dict)
    """Of `storage_bytes`, how many bytes are for disks of each storage class; the rest is for the pool above."""
    networks: tuple[str, ...] = ()
    """Empty: the host's own."""
    external: Literal["", "PortList", "WholeIP"] = ""
    """How it is to be reached from outside; empty: not at all."""
    firmware: str = "bios"
    image: str = ""
    """Of the VM's own disk, for clusters that have to make it; empty: it has none of its own."""
    has_vm_disks: bool = False

    @property
    def gpu_count(self) -> int:
        """GPUs of all models."""
        return sum(need.count for need in self.gpus)

    def in_words(self) -> str:
        """`2 x L40S, 16 vCPUs, 64 GiB`."""
        gpus = [f"{need.count} x {need.word}" for need in self.gpus]
        return ", ".join([*gpus, counted(self.vcpus, "vCPU"), memory_in_words(self.memory_mib)])


def gpu_needs(names: Iterable[str], *, tables: Tables) -> tuple[GpuNeed, ...]:
    """Counts by canonical name, in the order first asked; a name that no catalogue knows fits nowhere."""
    counts = Counter(canonical_gpu(name, tables=tables) for name in names)
    return tuple(
        GpuNeed(name=name, count=count, label=gpu_label(name, tables=tables), bar_bytes=_largest_bar(name, tables=tables))
        for name, count in counts.items()
    )


def _largest_bar(name: str, *, tables: Tables) -> int:
    model = tables.gpus.resolve(name)
    return model.bar1_mib * 2**20 if model else 0


def canonical_gpu(name: str, *, tables: Tables) -> str:
    """The canonical resource name; a name that no catalogue knows stays as it is."""
    model = tables.gpus.resolve(name)
    return model.name if model else name


def gpu_label(name: str, *, tables: Tables) -> str:
    """The word for a GPU in sentences: its display name without the maker, as in `L40S` or `H100 NVL`."""
    model = tables.gpus.resolve(name)
    return model.display_name.removeprefix("NVIDIA ") if model else name


def request_for(
    vm: VirtualMachine,
    *,
    size: GuestSize,
    tables: Tables,
    vm_disks: Iterable[VMDisk] = (),
    firmware: str = "bios",
) -> PlacementRequest:
    """What this VM asks now. Once it has a host, or one of its VMDisks has, only that host can take it.

    Storage counts what does not exist yet: the system disk of a VM without a host, and VMDisks without a volume.
    """
    vm_disks = tuple(vm_disks)
    homes = {vm.status.host, *(disk.home for disk in vm_disks)} - {""}
    sizes = [(disk.spec.storage_class, bytes_of(disk.spec.storage)) for disk in vm_disks if not disk.status.volume]
    if vm.spec.system_disk is not None and not vm.status.host:
        sizes.append((vm.spec.system_disk.storage_class, bytes_of(vm.spec.system_disk.storage)))
    by_class: Counter[str] = Counter()
    for storage_class, size_bytes in sizes:
        by_class[storage_class] += size_bytes
    return PlacementRequest(
        vcpus=size.vcpus,
        memory_mib=size.memory_mib,
        gpus=gpu_needs((gpu.name for gpu in vm.spec.gpus), tables=tables),
        owner=vm.key,
        owner_uid=vm.metadata.uid,
        host_selector=vm.spec.host_selector,
        pinned_hosts=tuple(sorted(homes)),
        storage_bytes=by_class.total(),
        storage_by_class=dict(by_class),
        networks=tuple(network.name for network in vm.spec.networks),
        external=vm.spec.external_method if vm.spec.external else "",
        firmware=firmware,
        image=vm.spec.system_disk.image if vm.spec.system_disk is not None else "",
        has_vm_disks=bool(vm.spec.disks),
    )
