"""A host in order, seen from libvirt and from inside, with one GPU and its audio function; a test says what differs."""

from __future__ import annotations

from typing import Any

from provisioner.model.examination import AerCounts, Bar, FunctionExamination, Holder, HostExamination, HugepagePool
from provisioner.model.gpu_host import GpuFacts, GPUHost
from provisioner.planning.doctor.diagnosis import Diagnosis, diagnose
from tests.unit.planning.factory import gpu, host

GPU, AUDIO, OTHER = "0000:41:00.0", "0000:41:00.1", "0000:42:00.0"
GIB = 1 << 30

L40S_BARS = (
    Bar(index=0, start=0xA000_0000, size_bytes=16 << 20),
    Bar(index=1, start=0x20_0000_0000, size_bytes=64 * GIB, is_64_bit=True, is_prefetchable=True),
    Bar(index=3, start=0x30_0000_0000, size_bytes=32 << 20, is_64_bit=True, is_prefetchable=True),
)


def function(address: str = GPU, **changes: Any) -> FunctionExamination:
    """A function in order, in the group of the first GPU."""
    values: dict[str, Any] = {
        "address": address,
        "vendor": "10de",
        "device": "26b9" if address.endswith(".0") else "22ba",
        "subsystem_vendor": "10de",
        "subsystem_device": "1851",
        "revision": "a1",
        "serial": "00-00-00-ff-ff-01-02-03" if address.endswith(".0") else "",
        "driver": "nvidia" if address.endswith(".0") else "snd_hda_intel",
        "iommu_group": 0x41,
        "group_members": (GPU, AUDIO),
        "config_alive": True,
        "power_state": "D0",
        "d3cold_allowed": False,
        "reset_methods": ("flr", "bus") if address.endswith(".0") else (),
        "link_width": 16,
        "link_width_max": 16,
        "bars": L40S_BARS if address.endswith(".0") else (),
        "aer": AerCounts(correctable=3),
    }
    return FunctionExamination(**values | changes)


def examination(*functions: FunctionExamination, **changes: Any) -> HostExamination:
    """A host in order."""
    values: dict[str, Any] = {
        "source": "ssh",
        "boot_id": "boot-1",
        "kernel_release": "6.12.43",
        "kernel_command_line": "ro quiet intel_iommu=on iommu=pt pci=realloc",
        "iommu_units": ("dmar0", "dmar1"),
        "iommu_address_width_bits": 48,
        "cpu_address_width_bits": 46,
        "interrupt_remapping": True,
        "memory_available_mib": 255 * 1024,
        "hugepages": (HugepagePool(size_kib=1 << 20, node=0, total=0, free=0),),
        "has_kvm_node": True,
        "has_vfio_module": True,
        "functions": functions or (function(), function(AUDIO)),
    }
    return HostExamination(**values | changes)


def facts(**changes: Any) -> GpuFacts:
    """The GPU as a survey shows it."""
    return gpu(0x41, **changes)


def where(*gpus: GpuFacts, **changes: Any) -> GPUHost:
    """The host as the store has it."""
    return host("a", *(gpus or (facts(),)), **changes)


def judge(seen: HostExamination | None = None, *, on: GPUHost | None = None, **changes: Any) -> Diagnosis:
    """The diagnosis of that examination on that host."""
    return diagnose(on or where(), seen if seen is not None else examination(), **changes)


def found(diagnosis: Diagnosis, code: str) -> tuple[str, str] | None:
    """Severity and message of the finding of that code, of which there is at most one."""
    of_code = [finding for finding in diagnosis.findings if finding.code == code]
    assert len(of_code) <= 1
    return (of_code[0].severity, of_code[0].message) if of_code else None


def holder(command: str = "nvidia-persistenced", *, path: str = "/dev/nvidia0", pid: int = 812) -> Holder:
    return Holder(pid=pid, command=command, path=path)
