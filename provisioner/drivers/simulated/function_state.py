"""What a simulated PCI function is: identity, driver, resets, and what may be wrong with it. Part of the state of its host."""

from __future__ import annotations

from dataclasses import dataclass, field

from provisioner.model.examination import AerCounts, Bar
from provisioner.model.pci import PciFunction

KEPT_RUNS = 100
"""Resets and scrubs that are remembered; the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class ResetRun:
    """One reset that went well."""

    at_s: float
    method: str


@dataclass(slots=True)
class FunctionState:
    """One PCI function."""

    address: str
    vendor: str
    device: str
    pci_class: str
    native_driver: str
    """The driver that the kernel chooses; empty if none wants it."""
    iommu_group: int | None = None
    numa_node: int | None = None
    pcie_parent: str = ""
    is_bridge: bool = False
    product: str = ""
    memory_mib: int = 0
    driver: str = ""
    """The driver now bound; empty if none."""
    is_present: bool = True
    holder: str = ""
    """A process outside libvirt that has it open, `python3 (pid 4711)`; an unbind then blocks."""
    subsystem_vendor: str = ""
    subsystem_device: str = ""
    revision: str = ""
    serial: str = ""
    driver_override: str = ""
    reset_methods: tuple[str, ...] = ()
    power_state: str = "D0"
    config_alive: bool = True
    aer: AerCounts | None = None
    bars: tuple[Bar, ...] = ()
    link_width: int | None = 16
    link_width_max: int | None = 16
    link_speed_gts: float | None = 16.0
    link_speed_max_gts: float | None = 16.0
    boot_vga: bool = False
    virtual_functions: int = 0
    unbind_blocks: bool = False
    """Its driver does not let go, and nobody can see why."""
    has_stuck_helper: bool = False
    """A process of ours hangs in the kernel over it, since an unbind that blocked."""
    reset_failure: str = ""
    """What the kernel says when it is reset; empty: resets go well."""
    xid: int = 0
    """What the driver in a guest finds wrong with it: an Xid of this code; 0: nothing."""
    resets: list[ResetRun] = field(default_factory=list)
    """The last ones, the oldest first."""

    def probe(self) -> None:
        """Let the kernel bind the driver of its choice."""
        if self.driver_override:
            self.driver = "" if self.driver_override == "none" else self.driver_override
        else:
            self.driver = "pcieport" if self.is_bridge else self.native_driver

    @property
    def is_stuck(self) -> bool:
        """Whether everything that asks for its lock hangs."""
        return self.has_stuck_helper and self.unbind_blocks

    def note_reset(self, at_s: float) -> str:
        """Remember a reset by the best method; its name."""
        self.resets = [*self.resets[1 - KEPT_RUNS :], ResetRun(at_s, self.reset_methods[0])]
        return self.reset_methods[0]

    def seen(self) -> PciFunction:
        """The function as the host shows it."""
        return PciFunction(
            address=self.address,
            vendor=self.vendor,
            device=self.device,
            pci_class=self.pci_class,
            driver=self.driver,
            is_bridge=self.is_bridge,
        )
