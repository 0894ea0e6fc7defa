"""GPUHost: one hypervisor, what it was found to have, and which of its GPUs may be handed out.

`spec` is the operator's; `status` is what the last look at the host showed. Whether a GPU is free is never stored here: a GPU
is owned if and only if its GPUClaim exists, and `planning.fleet` is the one place that computes it.
"""

from __future__ import annotations

import enum
from typing import ClassVar

from pydantic import Field

from provisioner.model.metadata import HIKUBE, Part, Resource, Status
from provisioner.model.pci import PciAddress, PciFunction, name_part


class GpuRule(Part):
    """Which PCI functions of a host count as GPUs: every field given must match; empty fields match anything."""

    vendor: str = ""
    pci_class: str = Field(default="", alias="class")
    """A prefix of the six digits: `03` is every display controller."""
    ids: tuple[str, ...] = ()
    """`vendor:device` pairs."""
    addresses: tuple[PciAddress, ...] = ()


DEFAULT_GPU_RULE = GpuRule(vendor="10de", pci_class="03")
"""NVIDIA display and 3D controllers."""


class GPUHostSpec(Part):
    """How to reach the host and how to use it."""

    uri: str
    """A libvirt URI (`qemu:///system`, `qemu+ssh://root@host/system?keyfile=…`) or `simulated://…`."""
    cordoned: bool = False
    gpu_rules: tuple[GpuRule, ...] = (DEFAULT_GPU_RULE,)
    allow_emulation: bool = False
    """Whether VMs may run under TCG where KVM does not work; slow, for labs and tests."""
    storage_pool: str = "default"
    network: str = "default"
    reserved_memory_mib: int = 1024
    """Kept for the host itself; guests with GPUs pin all of their memory."""
    refresh_interval_s: int = 300


class GpuHealth(enum.StrEnum):
    """What the host side can tell."""

    OK = "Ok"
    MISSING = "Missing"
    UNUSABLE = "Unusable"


class GpuFacts(Part):
    """One GPU as the host shows it, with everything that must travel with it."""

    function: PciFunction
    name: str
    """Canonical resource name of the catalogue; `<vendor>.<device>` as a name if the catalogue does not know it."""
    iommu_group: int | None = None
    companions: tuple[PciFunction, ...] = ()
    """Every other function of the IOMMU group that is no bridge; bound and passed together with the GPU."""
    numa_node: int | None = None
    pcie_parent: str = ""
    """Address of the root port or switch port above; GPUs with the same parent are close."""
    link_speed_gts: float | None = None
    link_width: int | None = None
    bar_bytes: tuple[int, ...] = ()
    """Sizes of the memory BARs where the host could be asked; empty if unknown."""
    health: GpuHealth = GpuHealth.OK
    health_message: str = ""

    @property
    def address(self) -> str:
        """The PCI address of function 0."""
        return self.function.address


class NumaNode(Part):
    """One NUMA node of the host."""

    id: int
    memory_mib: int
    cpus: tuple[int, ...]


class StoragePool(Part):
    """A libvirt storage pool."""

    name: str
    active: bool
    path: str = ""
    capacity_bytes: int = 0
    available_bytes: int = 0


class HostNetwork(Part):
    """A libvirt network."""

    name: str
    active: bool
    forward: str = ""
    """nat, bridge, route, open; empty is isolated."""


class KvmVerdict(Part):
    """Whether KVM really runs guests here: found by starting one, not by looking at a device node."""

    works: bool | None = None
    """None until it was tried."""
    message: str = ""
    checked: str = ""


class HostCapabilities(Part):
    """What the host's QEMU and libvirt offer."""

    libvirt_version: str = ""
    hypervisor_version: str = ""
    cpu_modes: tuple[str, ...] = ()
    """Usable CPU modes of the domain type that guests will use."""
    machine: str = "q35"
    firmwares: tuple[str, ...] = ("bios",)
    vfio: bool = False
    address_width_bits: int | None = None


class Quarantine(Part):
    """A GPU that must not be handed out."""

    address: PciAddress
    reason: str
    since: str


class GPUHostStatus(Status):
    """What the last look showed."""

    reachable: bool = False
    last_seen: str = ""
    hostname: str = ""
    host_uuid: str = ""
    cpus: int = 0
    memory_mib: int = 0
    numa_nodes: tuple[NumaNode, ...] = ()
    gpus: tuple[GpuFacts, ...] = ()
    kvm: KvmVerdict = Field(default_factory=KvmVerdict)
    capabilities: HostCapabilities = Field(default_factory=HostCapabilities)
    storage_pools: tuple[StoragePool, ...] = ()
    networks: tuple[HostNetwork, ...] = ()
    quarantined: tuple[Quarantine, ...] = ()


class GPUHost(Resource):
    """One hypervisor."""

    KIND: ClassVar[str] = "GPUHost"
    API_VERSION: ClassVar[str] = HIKUBE
    NAMESPACED: ClassVar[bool] = False
    PLURAL: ClassVar[str] = "gpuhosts"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("host", "hosts", "gh")

    api_version: str = HIKUBE
    kind: str = "GPUHost"
    spec: GPUHostSpec
    status: GPUHostStatus = Field(default_factory=GPUHostStatus)


class GpuState(enum.StrEnum):
    """What a table says about a GPU."""

    FREE = "Free"
    CLAIMED = "Claimed"
    DRAINING = "Draining"
    """Claimed on a cordoned host: nobody gets it next."""
    QUARANTINED = "Quarantined"


def claim_name(host: str, address: str) -> str:
    """The name of the claim on a GPU; creating that object is the lock."""
    return f"{host}.{name_part(address)}"
