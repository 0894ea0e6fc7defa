"""What the report command in a guest says about itself: the evidence that a GPU VM works.

The command (templates/guest/report.py) prints one JSON object of this shape. Unknown fields are ignored, so that an older
hikube understands a newer guest; missing ones mean "could not be read".
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class ReportPart(BaseModel):
    """Base: frozen, camelCase in JSON, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class GuestFunction(ReportPart):
    """A PCI function as the guest sees it in /sys."""

    address: str
    vendor: str
    device: str
    pci_class: str = ""
    driver: str = ""
    numa_node: int | None = None
    bar_bytes: tuple[int, ...] = ()


class NvidiaGpu(ReportPart):
    """One row of nvidia-smi."""

    uuid: str
    name: str
    address: str = ""
    """The guest's PCI address, lower case, four-digit domain."""
    serial: str = ""
    driver_version: str = ""
    memory_mib: int | None = None
    ecc_mode: str = ""
    vbios: str = ""
    temperature_c: int | None = None
    ecc_uncorrected_volatile: int | None = None
    """Since the driver was loaded."""
    ecc_uncorrected_aggregate: int | None = None
    """In the life of the card."""
    retired_pages_pending: bool | None = None
    """Pages of memory will be taken out of use by the next reset; cards before Ampere."""
    row_remap_pending: bool | None = None
    """Rows of memory will be replaced by spare ones with the next reset; Ampere and later."""
    row_remap_failure: bool | None = None
    """A row could not be replaced: the card has no spare ones left there."""
    pcie_link_gen: int | None = None
    """Lower while the GPU idles."""
    pcie_link_width: int | None = None


class Xid(ReportPart):
    """One error that the NVIDIA driver wrote into the kernel's log."""

    code: int
    address: str = ""
    """The guest's PCI address of the GPU."""
    text: str = ""


class NvidiaState(ReportPart):
    """The NVIDIA driver in the guest."""

    driver_loaded: bool = False
    driver_version: str = ""
    nvidia_smi: bool = False
    """Whether nvidia-smi is there and ended well."""
    error: str = ""
    gpus: tuple[NvidiaGpu, ...] = ()
    xids: tuple[Xid, ...] = ()
    """The last 20 since the guest booted, the oldest first."""


class CloudInitState(ReportPart):
    """How far cloud-init is."""

    status: Literal["not run", "running", "done", "degraded", "error", "disabled", "unknown"] = "unknown"
    errors: tuple[str, ...] = ()
    output_tail: str = ""
    """The last lines of /var/log/cloud-init-output.log; only when it is not done."""


class GuestReport(ReportPart):
    """One report."""

    version: int = 1
    boot_id: str
    hostname: str = ""
    kernel: str = ""
    uptime_s: float = 0.0
    memory_mib: int = 0
    cpus: int = 0
    cloud_init: CloudInitState = Field(default_factory=CloudInitState)
    functions: tuple[GuestFunction, ...] = ()
    nvidia: NvidiaState = Field(default_factory=NvidiaState)
