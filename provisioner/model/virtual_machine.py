"""VirtualMachine and VMInstance: one GPU VM in its single internal form.

Documents write it in several historical shapes (see docs/reference/compatibility.md); `normalise` maps each of them onto
this spec, so that nobody below the door asks which one it was. A VirtualMachine has its own system disk; a VMInstance
boots from VMDisks. Everything else is the same.
"""

from __future__ import annotations

import enum
from typing import ClassVar, Literal

from pydantic import Field

from provisioner.model.cluster import ClusterMachine
from provisioner.model.metadata import APPS, Part, Resource, Status
from provisioner.model.network import KeptAddress, Publication
from provisioner.model.pci import PciAddress, PciAddressOrNone


class RunStrategy(enum.StrEnum):
    """When the VM shall run (KubeVirt's words)."""

    ALWAYS = "Always"
    HALTED = "Halted"
    MANUAL = "Manual"
    RERUN_ON_FAILURE = "RerunOnFailure"
    ONCE = "Once"


class GpuRequest(Part):
    """One whole GPU of a model, by its canonical resource name (`nvidia.com/AD102GL_L40S`)."""

    name: str


class SystemDisk(Part):
    """The disk that a VirtualMachine boots from: a copy-on-write overlay over a golden image."""

    image: str = "ubuntu"
    """Name of an Image resource or a built-in golden image."""
    storage: str = "5Gi"
    storage_class: str = "replicated"


class DiskReference(Part):
    """A VMDisk of the same namespace, attached in the order listed."""

    name: str
    bus: Literal["", "virtio", "sata", "scsi"] = ""


class NetworkReference(Part):
    """A network of the host by name; the first carries the address that hikube finds."""

    name: str


class Resources(Part):
    """Explicit sizing; overrides the instance type field by field."""

    cpu: int | None = None
    """vCPUs per socket."""
    sockets: int | None = None
    memory: str | None = None


class VirtualMachineSpec(Part):
    """What the tenant wants."""

    run_strategy: RunStrategy = RunStrategy.ALWAYS
    instance_type: str = "u1.medium"
    """Empty when `resources` says it all."""
    instance_profile: str = "ubuntu"
    resources: Resources = Field(default_factory=Resources)
    cpu_model: str = ""
    gpus: tuple[GpuRequest, ...] = ()
    system_disk: SystemDisk | None = None
    """Always set for a VirtualMachine; for a VMInstance only where its document shows one, as some of Hikube's do."""
    disks: tuple[DiskReference, ...] = ()
    networks: tuple[NetworkReference, ...] = ()
    external: bool = False
    external_method: Literal["PortList", "WholeIP"] = "PortList"
    external_ports: tuple[int, ...] = (22,)
    external_allow_icmp: bool = Field(default=True, alias="externalAllowICMP")
    ssh_keys: tuple[str, ...] = ()
    cloud_init: str = Field(default="", repr=False)
    """The tenant's user-data, byte for byte."""
    cloud_init_seed: str = ""
    """A change makes cloud-init run again on the next start."""
    host_selector: dict[str, str] = Field(default_factory=dict)
    """hikube's own: labels that the GPUHost must have."""
    firmware: Literal["", "bios", "efi"] = ""
    """hikube's own: what it boots with; empty: as its image says."""


class Phase(enum.StrEnum):
    """The one word of a VM's state for tables; derived from conditions, never read to decide."""

    PENDING = "Pending"
    PROVISIONING = "Provisioning"
    BOOTING = "Booting"
    READY = "Ready"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    FAILED = "Failed"
    DELETING = "Deleting"


class GpuAssignment(Part):
    """A GPU that this VM owns: where it is on the host, and what the guest calls it."""

    name: str
    host: str
    address: PciAddressOrNone
    """On the host; empty where a KubeVirt cluster did not tell it."""
    companions: tuple[PciAddress, ...] = ()
    guest_address: str = ""
    uuid: str = ""
    serial: str = ""
    vbios: str = ""


class RunningSpec(Part):
    """The part of the spec that the running domain was made from; a difference means RestartRequired."""

    vcpus: int
    memory_mib: int
    gpus: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    """`name=size_bytes` in boot order; the system disk is `system`."""
    networks: tuple[str, ...] = ()
    firmware: str = ""
    """As the spec says it; empty: that of the image."""


class VirtualMachineStatus(Status):
    """What was observed and recorded about the VM."""

    phase: Phase = Phase.PENDING
    host: str = ""
    """The GPUHost that holds its disk; kept while stopped, since the disk cannot move."""
    system_volume: str = ""
    """The volume of its system disk; it has not always the usual name."""
    system_pool: str = ""
    """The storage pool that volume is in."""
    gpus: tuple[GpuAssignment, ...] = ()
    domain: str = ""
    """Name of the libvirt domain."""
    domain_uuid: str = ""
    mac_address: str = ""
    address: str = ""
    kept_addresses: tuple[KeptAddress, ...] = ()
    """Reserved for the VM on networks of its host that give out addresses, from its first start until its deletion."""
    external_address: str = ""
    """Out of its host's externalAddresses; nobody else gets it for as long as the VM has its host."""
    publication: Publication | None = None
    """What the host's packet filter was told to let in; written before it is told, and removed after it has forgotten."""
    network_filter: str = ""
    """Name of the libvirt filter before the domain's interface; empty: it was defined without."""
    boot_id: str = ""
    """The guest's boot id when it was last seen; another one means that it has reset."""
    running_spec: RunningSpec | None = None
    consecutive_failures: int = 0
    retry_after: str = ""
    """No new attempt before this time."""
    last_failure: str = ""
    """What failed last, with the last lines of console and cloud-init where they help."""
    handled_request: str = ""
    """The last start/stop/restart request acted on (the value of the annotation)."""
    completed: bool = False
    """The guest ended by itself and its run strategy does not start it again."""
    first_ready: str = ""
    """When it was proven for the first time; from then on its disks hold the tenant's data and survive a failure."""
    stopping_since: str = ""
    """When the steps began to be undone; graceful shutdown and patience with devices count from here."""
    unwinding: str = ""
    """Why the steps are being undone before another attempt; empty while going forward."""
    driver_version: str = ""
    """The GPU driver that the guest reported."""
    recorded_generation: int = 0
    """Of the spec that the record on the running domain has."""
    machine: ClusterMachine | None = None
    """What the VM is on a KubeVirt cluster; empty on any other host, and while it has none."""


REQUEST_ANNOTATION = "hikube.cloud/request"
"""`start|stop|restart:<token>`: a wish that no spec field expresses; acted on once per token."""

FINALIZER = "hikube.cloud/teardown"
"""Held while anything of the object may exist on a host."""


class VirtualMachine(Resource):
    """A GPU VM with a system disk of its own."""

    KIND: ClassVar[str] = "VirtualMachine"
    API_VERSION: ClassVar[str] = APPS
    PLURAL: ClassVar[str] = "virtualmachines"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("vm", "vms")

    api_version: str = APPS
    kind: str = "VirtualMachine"
    spec: VirtualMachineSpec = Field(default_factory=VirtualMachineSpec)
    status: VirtualMachineStatus = Field(default_factory=VirtualMachineStatus)


class VMInstance(VirtualMachine):
    """A GPU VM that boots from VMDisks."""

    KIND: ClassVar[str] = "VMInstance"
    PLURAL: ClassVar[str] = "vminstances"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("vmi",)

    kind: str = "VMInstance"
