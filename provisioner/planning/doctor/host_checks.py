"""Checks of a host as a whole: IOMMU, isolation, VFIO, KVM, firmware, pools, networks, and whether anybody could look."""

from __future__ import annotations

from collections.abc import Iterable

from provisioner.model.gpu_host import ResetPolicy
from provisioner.planning.doctor.checks import Answer, Found, HostCase, Severity, Unknown

BIG_BAR_BYTES = 1 << 32
"""A region of this size lies above the first 4 GiB of addresses."""


def inside(case: HostCase) -> Answer:
    """Whether the host can be looked at from inside at all."""
    if case.examination.is_known:
        return None
    why = case.examination.why_not or "nobody has looked at it from inside yet"
    is_required = case.host.spec.reset_policy is ResetPolicy.REQUIRED
    return Found(why, severity=Severity.ERROR if is_required else Severity.WARNING)


def iommu(case: HostCase) -> Answer:
    """Whether an IOMMU is in use."""
    if case.examination.is_known:
        return None if case.examination.iommu_units else Found("no IOMMU is in use: /sys/class/iommu is empty")
    if case.host.status.capabilities.vfio or any(gpu.iommu_group is not None for gpu in case.host.status.gpus):
        return None
    if not case.host.status.last_seen:
        return Unknown("the host was never seen")
    return Found("libvirt offers no VFIO, and no GPU is in an IOMMU group")


def interrupt_remapping(case: HostCase) -> Answer:
    """Whether interrupts of a guest's device can be told apart from anybody else's."""
    seen = case.examination
    if seen.interrupt_remapping is None:
        return Unknown("/proc/interrupts could not be read there")
    if seen.interrupt_remapping or not seen.iommu_units:
        return None
    if seen.unsafe_interrupts_allowed:
        return Found("interrupts are not remapped, and allow_unsafe_interrupts lets VFIO go on", severity=Severity.WARNING)
    return Found("interrupts are not remapped: VFIO refuses every device")


def vfio(case: HostCase) -> Answer:
    """Whether vfio-pci can be had."""
    if case.examination.has_vfio_module is False:
        return Found(f"kernel {case.examination.kernel_release or 'of the host'} has no vfio-pci module")
    if case.examination.iommu_units and case.host.status.last_seen and not case.host.status.capabilities.vfio:
        return Found("the IOMMU is on, and libvirt offers no VFIO all the same")
    return Unknown("it could not be read there") if case.examination.has_vfio_module is None else None


def acs_override(case: HostCase) -> Answer:
    """Whether the kernel was told to pretend that devices are isolated."""
    named = _arguments(case, "pcie_acs_override")
    return Found(f"the kernel was started with {', '.join(named)}: IOMMU groups are not what they seem") if named else None


def acs_weakened(case: HostCase) -> Answer:
    """Whether the kernel was told to let devices talk to each other past the IOMMU."""
    named = [word for word in _arguments(case, "pci=") if "disable_acs_redir" in word or "config_acs" in word]
    return Found(f"the kernel was started with {', '.join(named)}") if named else None


def _arguments(case: HostCase, start: str) -> list[str]:
    return [word for word in case.examination.kernel_command_line.split() if word.startswith(start)]


def kvm(case: HostCase) -> Answer:
    """Whether KVM was seen to run a guest."""
    verdict, emulated = case.host.status.kvm, case.host.spec.allow_emulation
    severity = Severity.WARNING if emulated else Severity.ERROR
    if case.examination.has_kvm_node is False:
        return Found("there is no /dev/kvm", severity=severity)
    if verdict.works is None:
        return Unknown("no guest was started under KVM yet; the control loop does it once for each host that was added")
    return None if verdict.works else Found(verdict.message or "no guest runs under KVM", severity=severity)


def firmware(case: HostCase) -> Answer:
    """Whether guests can have the firmware that images for GPUs want."""
    if not case.host.status.last_seen:
        return Unknown("the host was never seen")
    offered = case.host.status.capabilities.firmwares
    if "efi" in offered:
        return None
    big = [gpu.address for gpu in case.host.status.gpus if any(size >= BIG_BAR_BYTES for size in gpu.bar_bytes)]
    so = f"guests can have {', '.join(offered) or 'no firmware'} only"
    return Found(f"{so}, and {', '.join(big)} have BARs that need addresses above 4 GiB" if big else so)


def pool(case: HostCase) -> Answer:
    """Whether the storage pool of the host's spec can be used."""
    known = {each.name: each.active for each in case.host.status.storage_pools}
    return _resource(case, "storage pool", case.host.spec.storage_pool, known)


def network(case: HostCase) -> Answer:
    """Whether the network of the host's spec can be used."""
    known = {each.name: each.active for each in case.host.status.networks}
    return _resource(case, "network", case.host.spec.network, known)


def _resource(case: HostCase, word: str, name: str, known: dict[str, bool]) -> Answer:
    if not case.host.status.last_seen:
        return Unknown("the host was never seen")
    if not name or known.get(name):
        return None
    active = sorted(other for other, is_active in known.items() if is_active)
    so = f"{word} {name} {'is not active' if name in known else 'does not exist'}"
    return Found(f"{so}; active: {', '.join(active) or 'none'}")


def address_width(case: HostCase) -> Answer:
    """Whether the IOMMU reaches as far as the CPU does."""
    narrow, wide = case.examination.iommu_address_width_bits, case.examination.cpu_address_width_bits
    if narrow is None or wide is None:
        return Unknown(f"the address width of the {'IOMMU' if narrow is None else 'CPU'} could not be read")
    if narrow >= wide:
        return None
    return Found(f"the IOMMU reaches {narrow} bits, the CPU {wide}: guests with GPUs are limited to {narrow}")


def some_gpus(case: HostCase) -> Answer:
    """Whether anything counts as a GPU there."""
    if case.host.status.gpus:
        return None
    return Found(f"none of its PCI functions matches {_rules(case)}") if case.host.status.last_seen else Unknown("never seen")


def _rules(case: HostCase) -> str:
    return " or ".join(_words(rule.as_json().items()) for rule in case.host.spec.gpu_rules) or "a rule"


def _words(pairs: Iterable[tuple[str, object]]) -> str:
    return ",".join(f"{name}={value}" for name, value in pairs if value)
