"""What a machine on a cluster that places by itself (KubeVirt) shall be, as values; and what it will ask of a node.

Data only: drivers carry it out, templates write it down, the lifecycle makes it of a VirtualMachine. Where the sizes are from:
KubeVirt's launcher pods as they were seen (docs/reference/kubevirt.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field

_OVERHEAD_MIB = 240 + 8 + 32
"""QEMU and libvirt, the launcher's shared pages, graphics."""
_OVERHEAD_PER_VCPU_MIB = 8
_OVERHEAD_WITH_GPUS_MIB = 1024
"""Once, however many GPUs."""
_CONSOLE_LOG_MIB = 34
"""Of the container that keeps the guest's console: 35M."""
_CONSOLE_LOG_CPU_MILLI = 5
_CPU_MILLI_PER_VCPU = 100
"""KubeVirt overcommits CPU ten times unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class ContainerDisk:
    """A root disk out of a container image; a stop loses what was written to it."""

    image: str


@dataclass(frozen=True, slots=True)
class ImportedDisk:
    """A root disk that the cluster imports once (CDI DataVolume); it outlives stops and goes with the machine."""

    url: str
    """`https://…`, `http://…` or `docker://…`; only the last can be pinned, by a digest: imports know no checksum."""
    size_bytes: int
    storage_class: str = ""
    """Of the cluster; empty: its default."""


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """What a machine shall be. A value that is empty leaves the choice to the cluster."""

    namespace: str
    name: str
    owner_uid: str
    """The uid of the resource that it is made for: written on everything that is made."""
    is_to_run: bool
    vcpus: int
    memory_mib: int
    gpus: tuple[str, ...]
    """The cluster's resource name of each (`nvidia.com/GH100_H100_NVL`), repeated as often as wanted."""
    disk: ContainerDisk | ImportedDisk
    user_data: str = field(repr=False)
    """cloud-init user-data as a whole, of any size; it goes into a Secret. Taken by an instance when it starts."""
    network_data: str = field(default="", repr=False)
    mac_address: str = ""
    firmware: str = ""
    """`bios`, `efi` or empty."""
    node_labels: tuple[tuple[str, str], ...] = ()
    shutdown_timeout_s: int = 180
    """How long a guest may take to end when it is told to; taken by an instance when it starts."""
    claim_template: str = ""
    """Name of a ResourceClaimTemplate that yields its GPUs by DRA, one per request; empty: they are extended resources."""
    is_restarted: bool = False
    """Whether the cluster makes an instance anew when one ends by itself; False: it stays ended, for whoever asked for it."""


def memory_needed_mib(spec: MachineSpec) -> int:
    """What a node must have free in allocatable memory: the guest's and what runs around it."""
    return launcher_memory_mib(memory_mib=spec.memory_mib, vcpus=spec.vcpus, has_gpus=bool(spec.gpus))


def cpu_needed_milli(spec: MachineSpec) -> int:
    """What a node must have free in allocatable CPU, at KubeVirt's usual overcommitment."""
    return launcher_cpu_milli(vcpus=spec.vcpus)


def launcher_memory_mib(*, memory_mib: int, vcpus: int, has_gpus: bool) -> int:
    """The same of a guest of that size."""
    overhead = _OVERHEAD_MIB + _OVERHEAD_PER_VCPU_MIB * vcpus + (_OVERHEAD_WITH_GPUS_MIB if has_gpus else 0)
    return memory_mib + overhead + _CONSOLE_LOG_MIB


def launcher_cpu_milli(*, vcpus: int) -> int:
    """The same of a guest of that size."""
    return _CPU_MILLI_PER_VCPU * vcpus + _CONSOLE_LOG_CPU_MILLI
