"""The hardware of a guest: from a VM, its host and its GPUs to a finished DomainPlan, each choice with its reason.

Everything that a domain's XML says is decided here, and nothing in the template. Each module decides one subject and says why;
`domain` puts them together. Pure: the same VM on the same facts gives the same plan at any time. Facts behind the choices:
docs/reference/domain.md.

    execution   KVM or emulation, CPU mode, what a reset does
    numa        which host nodes, the guest's own nodes, which vCPU runs where
    memory      huge pages, where memory comes from, what is locked
    firmware    BIOS or UEFI
    window      BARs, PCI window, address width
    layout      root ports, expander buses, where each function sits
"""

from provisioner.planning.hardware.choices import Choice, HardwarePlan
from provisioner.planning.hardware.domain import plan_domain

__all__ = ["Choice", "HardwarePlan", "plan_domain"]
