"""What a host may be filled with: the operator's numbers behind every placement.

Memory is never overcommitted: a guest with GPUs pins all of it, and a host that swaps takes every GPU on it down. vCPUs may
be, where no GPU waits for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.model.gpu_host import GPUHost
from provisioner.planning.host_labels import is_nested_emulation, vcpus_per_cpu


@dataclass(frozen=True, slots=True)
class PlacementPolicy:
    """Ratios and overheads. The defaults suit data-centre hosts; `docs/explanation/placement.md` says why."""

    vcpus_per_cpu_with_gpus: float = 1.0
    """A vCPU that feeds a GPU wants a CPU of its own."""
    vcpus_per_cpu_without_gpus: float = 4.0
    """Also for hosts that are themselves emulated, which exist to be tried out."""
    overhead_mib: int = 192
    """QEMU itself, per guest."""
    overhead_per_vcpu_mib: int = 8
    overhead_per_gpu_mib: int = 64
    overhead_per_memory: int = 512
    """One part in so many of the guest's memory, for page tables and the IOMMU's."""
    storage_overcommit: float = 1.0
    """How many bytes may be promised for each free byte of a pool. Disks are thin: above 1 they can run full."""
    alternatives: int = 3
    """How many other hosts a placement names."""

    def committed_mib(self, *, memory_mib: int, vcpus: int, gpus: int) -> int:
        """What a guest of this size takes from its host, overhead included."""
        overhead = self.overhead_mib + self.overhead_per_vcpu_mib * vcpus + self.overhead_per_gpu_mib * gpus
        return memory_mib + overhead + -(-memory_mib // self.overhead_per_memory)

    def vcpu_capacity(self, host: GPUHost) -> int:
        """How many vCPUs all guests of the host may have together; the host's own label wins over the policy."""
        ratio = vcpus_per_cpu(host)
        if ratio is None:
            is_for_gpus = bool(host.status.gpus) and not is_nested_emulation(host)
            ratio = self.vcpus_per_cpu_with_gpus if is_for_gpus else self.vcpus_per_cpu_without_gpus
        return int(host.status.cpus * ratio)
