"""What a look at a host from inside shows: everything that passthrough depends on and libvirt cannot tell.

A probe fills it in on the host (drivers/host_shell); `planning.doctor` judges it. Nothing here judges: a value is what the
kernel says, and None or empty is "could not be read there". Formats and their sources: vfio.md 2.7, as summed up in
docs/reference/examination.md.
"""

from __future__ import annotations

from provisioner.model.metadata import Part
from provisioner.model.pci import PciAddress


class Holder(Part):
    """A process that has something of a device open."""

    pid: int
    command: str
    path: str
    """What it has open: `/dev/nvidia0`, `/dev/vfio/17`, `/dev/dri/card1`."""


class Bar(Part):
    """One memory region of a function, or of something that lies over it."""

    index: int
    start: int
    size_bytes: int
    is_64_bit: bool = False
    is_prefetchable: bool = False


class AerCounts(Part):
    """Totals of PCIe Advanced Error Reporting since the host booted."""

    fatal: int = 0
    nonfatal: int = 0
    correctable: int = 0


class FunctionExamination(Part):
    """One PCI function as sysfs and its config space show it."""

    address: PciAddress
    vendor: str = ""
    device: str = ""
    subsystem_vendor: str = ""
    subsystem_device: str = ""
    revision: str = ""
    """Two hexadecimal digits."""
    pci_class: str = ""
    driver: str = ""
    driver_override: str = ""
    """Empty if unset."""
    is_bridge: bool = False
    """By its header type: it stays with the host and cannot be assigned."""
    iommu_group: int | None = None
    group_members: tuple[PciAddress, ...] = ()
    """Every function of the group, bridges and itself included."""
    numa_node: int | None = None
    parent: str = ""
    """Address of the bridge above; empty at the root."""
    config_alive: bool | None = None
    """False: config space reads as all ones; the device has fallen off the bus."""
    power_state: str = ""
    """D0, D3hot, D3cold, unknown, error."""
    d3cold_allowed: bool | None = None
    reset_methods: tuple[str, ...] = ()
    """In the kernel's order: device_specific, acpi, flr, af_flr, pm, bus."""
    virtual_functions: int = 0
    link_width: int | None = None
    link_width_max: int | None = None
    link_speed_gts: float | None = None
    link_speed_max_gts: float | None = None
    boot_vga: bool = False
    bars: tuple[Bar, ...] = ()
    """Memory BARs that have a size; the ROM is left out."""
    aer: AerCounts | None = None
    serial: str = ""
    """Device Serial Number of the extended config space, `00-00-00-ff-ff-00-00-00`; empty if it has none."""
    holders: tuple[Holder, ...] = ()

    @property
    def identity(self) -> GpuIdentity:
        """What makes it this card and no other."""
        return GpuIdentity(
            vendor=self.vendor,
            device=self.device,
            subsystem_vendor=self.subsystem_vendor,
            subsystem_device=self.subsystem_device,
            revision=self.revision,
            serial=self.serial,
        )


class HugepagePool(Part):
    """Huge pages of one size on one NUMA node."""

    size_kib: int
    node: int
    total: int
    free: int


class Region(Part):
    """A named range of the host's physical addresses, from /proc/iomem."""

    name: str
    start: int
    end: int


class HostExamination(Part):
    """One look at one host."""

    source: str = ""
    """How it was asked: `ssh`, `local` or `simulated`; empty: it could not be asked."""
    why_not: str = ""
    """Why it could not be asked, in words for an operator."""
    boot_id: str = ""
    """Another one than before means that the host was booted since."""
    kernel_release: str = ""
    kernel_command_line: str = ""
    iommu_units: tuple[str, ...] = ()
    """Names in /sys/class/iommu; empty: the IOMMU is off."""
    iommu_address_width_bits: int | None = None
    """The narrowest unit's."""
    interrupt_remapping: bool | None = None
    unsafe_interrupts_allowed: bool = False
    cpu_address_width_bits: int | None = None
    memory_available_mib: int | None = None
    memlock_limit_mib: int | None = None
    """What a QEMU started by libvirtd may lock at most; None: unlimited, or libvirtd may raise it."""
    hugepages: tuple[HugepagePool, ...] = ()
    framebuffers: tuple[Region, ...] = ()
    """Regions that the firmware's console holds: efifb, simple-framebuffer, BOOTFB."""
    has_kvm_node: bool | None = None
    has_vfio_module: bool | None = None
    functions: tuple[FunctionExamination, ...] = ()
    """Those asked for and every other member of their groups, by address."""

    @property
    def is_known(self) -> bool:
        """Whether the host could be asked at all."""
        return bool(self.source)

    def function(self, address: str) -> FunctionExamination | None:
        """The function at that address; None if it is not there."""
        return next((function for function in self.functions if function.address == address), None)


class ScrubResult(Part):
    """How the operator's scrub command ended."""

    exit_status: int
    output_tail: str = ""
    """The last 4,000 characters that it printed."""
    duration_s: float = 0.0


class Finding(Part):
    """One thing that the doctor found; its code is explained in docs/findings/<code>.md."""

    code: str
    """`HK-DOC-101`."""
    severity: str
    """`error`: the GPU, or the host, cannot be used; `warning`: it can, with the risk that is named; `info`."""
    subject: str
    """`host`, or the PCI address of the GPU that it is about."""
    message: str
    """What was found, with names and numbers."""


class GpuIdentity(Part):
    """What makes a card this card and no other, as far as the host can read it."""

    vendor: str
    device: str
    subsystem_vendor: str = ""
    subsystem_device: str = ""
    revision: str = ""
    serial: str = ""

    @property
    def name(self) -> str:
        """As part of an object name: ids, and the serial where there is one."""
        parts = (self.vendor, self.device, self.subsystem_vendor, self.subsystem_device, self.revision)
        ids = "-".join(part for part in parts if part)
        return f"{ids}.{self.serial}" if self.serial else ids

    def agrees_with(self, other: GpuIdentity) -> bool:
        """Whether both may be the same card: equal in every field that is known on both sides."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in type(self).model_fields)
        return all(mine == theirs for mine, theirs in pairs if mine and theirs)
