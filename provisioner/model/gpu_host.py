"""GPUHost: one hypervisor or KubeVirt cluster, what it was found to have, and which of its GPUs may be handed out.

`spec` is the operator's; `status` is what the last look at the host showed. Whether a GPU is free is never stored here: a GPU
is owned if and only if its GPUClaim exists, and `planning.fleet` is the one place that computes it.
"""

from __future__ import annotations

import enum
from typing import ClassVar

from pydantic import Field

from provisioner.model.cluster import SCHEME, ClusterFacts, ClusterSettings
from provisioner.model.examination import Finding, GpuIdentity
from provisioner.model.gpu_check import GpuCheck
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


class ResetPolicy(enum.StrEnum):
    """What must be seen before a GPU goes to the next tenant."""

    REQUIRED = "Required"
    """It was reset, and its config space answers; a GPU for which that cannot be shown is quarantined."""
    BEST_EFFORT = "BestEffort"
    """Whatever can be done is done; for hosts that can only be reached through libvirt, and for machines of one tenant."""


class NetworkMapping(Part):
    """What a name of a network stands for on one host; exactly one of the fields is set."""

    network: str = ""
    """A libvirt network by another name."""
    bridge: str = ""
    """A bridge of the host, which guests become ports of."""
    direct: str = ""
    """An interface of the host, which guests share (macvtap). The host itself cannot reach them there."""


class GPUHostSpec(Part):
    """How to reach the host and how to use it."""

    uri: str
    """A libvirt URI (`qemu:///system`, `qemu+ssh://root@host/system?keyfile=…`), `kubevirt:` or `simulated://…`."""
    cordoned: bool = False
    gpu_rules: tuple[GpuRule, ...] = (DEFAULT_GPU_RULE,)
    allow_emulation: bool = False
    """Whether VMs may run under TCG where KVM does not work; slow, for labs and tests."""
    storage_pool: str = "default"
    storage_classes: dict[str, str] = Field(default_factory=dict)
    """The storage pool for each `storageClass`; a class that is not here has no effect, and its disks go to `storage_pool`.

    Of a KubeVirt cluster: the cluster's StorageClass for each.
    """
    network: str = "default"
    reserved_memory_mib: int = 1024
    """Kept for the host itself; guests with GPUs pin all of their memory."""
    refresh_interval_s: int = 300
    keep_on_vfio: bool = False
    """GPUs stay on vfio-pci for good, also while nobody owns them."""
    reset_policy: ResetPolicy = ResetPolicy.REQUIRED
    scrub_command: str = ""
    """Run on the host for each function 0 between two tenants, with `{address}` replaced; a status other than 0 quarantines."""
    scrub_timeout_s: int = 600
    retired: tuple[PciAddress, ...] = ()
    """GPUs that are never handed out again."""
    external_addresses: tuple[str, ...] = ()
    """IPv4 addresses or networks (`203.0.113.16/28`) routed to this host, for VMs with `external: true` on a NAT network."""
    external_interface: str = ""
    """Has each external address as its own while that is published, for addresses on the wire; empty: they are routed here."""
    networks: dict[str, NetworkMapping] = Field(default_factory=dict)
    """What names of networks stand for here; any other name is that of a libvirt network."""
    kubevirt: ClusterSettings | None = None
    """How a KubeVirt cluster is used; only with a `kubevirt:` URI."""

    @property
    def is_cluster(self) -> bool:
        """Whether the host is a KubeVirt cluster, which places machines on its nodes by itself."""
        return self.uri.startswith(SCHEME)

    @property
    def cluster(self) -> ClusterSettings:
        """How the cluster is used, with defaults for what is not said."""
        return self.kubevirt or ClusterSettings()

    def pool_of(self, storage_class: str) -> str:
        """The storage pool for disks of that class."""
        return self.storage_classes.get(storage_class, self.storage_pool)


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
    identity: GpuIdentity | None = None
    """As it was when this address was first examined, or last released by an operator; another one now is a swapped card."""
    reset_methods: tuple[str, ...] = ()
    """Empty where the host could not be asked, or there is none."""
    at_home_boot_id: str = ""
    """Of the boot of the host in which it was last seen off vfio-pci; empty: it never was, or the host could not be asked."""
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
    cores: tuple[tuple[int, ...], ...] = ()
    """CPUs that are threads of one core; empty if not known."""


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
    bridge: str = ""
    """The bridge on the host that its guests are ports of; empty: none, or not known."""


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


class FreeHugepages(Part):
    """Huge pages of one size on one NUMA node that the host keeps ready."""

    node: int
    size_kib: int
    total: int
    free: int


class Quarantine(Part):
    """A GPU that must not be handed out."""

    address: PciAddress
    reason: str
    since: str
    cause: str = ""
    """One CamelCase word, stable, for tables and programs: `Operator`, `Missing`, `NotRestored`."""
    accuser: str = ""
    """The namespace on whose guest's word alone it is here; empty if the host side saw it, or an operator asked."""


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
    interfaces: tuple[str, ...] = ()
    """Network interfaces and bridges of the host itself, by name; empty: not known."""
    quarantined: tuple[Quarantine, ...] = ()
    boot_id: str = ""
    """Of the host, when it was last examined."""
    examined: str = ""
    """When it was last looked at from inside; empty if it never could be."""
    iommu_address_width_bits: int | None = None
    hugepages: tuple[FreeHugepages, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Errors and warnings of the last examination."""
    retired: tuple[PciAddress, ...] = ()
    """Those of `spec.retired` as the last pass saw it; one that left the spec since is not handed out either."""
    checks: tuple[GpuCheck, ...] = ()
    """Of each GPU the last check that an operator asked for."""
    cluster: ClusterFacts | None = None
    """Of a KubeVirt cluster, what it has; then everything about one machine's hardware above stays empty."""


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
    CLEANING = "Cleaning"
    """Claimed by nobody any more, and not clean yet."""
    RETIRED = "Retired"


def claim_name(host: str, device: str) -> str:
    """The name of the claim on a GPU, known by its PCI address or its UUID; creating that object is the lock."""
    return f"{host}.{name_part(device).lower()}"
