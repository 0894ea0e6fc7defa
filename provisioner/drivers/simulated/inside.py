"""What a simulated host is like below libvirt: kernel, IOMMU, limits, scrubs. Part of its state; all of it may be set."""

from __future__ import annotations

from dataclasses import dataclass, field

from provisioner.drivers.simulated.function_state import KEPT_RUNS
from provisioner.model.examination import HugepagePool, Region


@dataclass(frozen=True, slots=True)
class ScrubRun:
    """One run of the operator's scrub command."""

    at_s: float
    address: str
    command: str
    """As it was run: the address is in it."""
    exit_status: int = 0


@dataclass(slots=True)
class Inside:
    """What a host is like from inside, where libvirt does not look; the default is a host that is in order."""

    why_not: str = ""
    """Why nobody can look: no shell leads there; empty: it can be examined."""
    kernel_release: str = "6.12.43+deb13-amd64"
    kernel_command_line: str = "BOOT_IMAGE=/boot/vmlinuz root=/dev/md0 ro quiet intel_iommu=on iommu=pt"
    iommu_address_width_bits: int = 48
    cpu_address_width_bits: int = 46
    interrupt_remapping: bool | None = True
    unsafe_interrupts_allowed: bool = False
    memlock_limit_mib: int | None = None
    memory_taken_mib: int = 0
    """By others than guests."""
    hugepages: tuple[HugepagePool, ...] = ()
    framebuffers: tuple[Region, ...] = ()
    has_vfio_module: bool = True
    scrub_status: int = 0
    scrub_output: str = ""
    scrub_takes_s: float = 5.0
    scrubs: list[ScrubRun] = field(default_factory=list)
    """The last ones, the oldest first."""

    def note_scrub(self, run: ScrubRun) -> None:
        """Remember a run."""
        self.scrubs = [*self.scrubs[1 - KEPT_RUNS :], run]
