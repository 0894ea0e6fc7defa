"""What libvirt's capabilities XML says about a host. Pure: text in, values out.

Two documents: that of the host (memory, NUMA cells, IOMMU, its UUID, which domain types there are) and that of domains of one
type (CPU modes, firmware, passthrough). Memory there is in KiB, here in MiB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from provisioner.model.gpu_host import NumaNode


@dataclass(frozen=True, slots=True)
class HostDocument:
    """The part of `virConnectGetCapabilities` that matters here."""

    uuid: str
    has_iommu: bool
    address_width_bits: int | None
    numa_nodes: tuple[NumaNode, ...]
    domain_types: tuple[str, ...]
    """Of x86_64 guests: `kvm`, `qemu`, `test`; kvm here means only that QEMU has it."""


@dataclass(frozen=True, slots=True)
class DomainDocument:
    """The part of `virConnectGetDomainCapabilities` that matters here."""

    cpu_modes: tuple[str, ...]
    firmwares: tuple[str, ...]
    has_vfio: bool


def parse_host(xml: str) -> HostDocument:
    """Read the host's capabilities."""
    root = ElementTree.fromstring(xml)  # noqa: S314  written by libvirtd
    iommu = root.find("host/iommu")
    width = root.find("host/cpu/maxphysaddr")
    return HostDocument(
        uuid=root.findtext("host/uuid", ""),
        has_iommu=iommu is not None and iommu.get("support") == "yes",
        address_width_bits=int(width.get("bits", "0")) or None if width is not None else None,
        numa_nodes=tuple(_numa_node(cell) for cell in root.findall("host/topology/cells/cell")),
        domain_types=_domain_types(root),
    )


def parse_domain(xml: str) -> DomainDocument:
    """Read the capabilities of domains of one type."""
    root = ElementTree.fromstring(xml)  # noqa: S314  written by libvirtd
    modes = [mode.get("name", "") for mode in root.findall("cpu/mode") if mode.get("supported") == "yes"]
    offered = [value.text or "" for value in root.findall("os/enum[@name='firmware']/value")]
    hostdev = root.find("devices/hostdev")
    backends = root.find("devices/hostdev/enum[@name='pciBackend']")
    has_backend = backends is None or "vfio" in {value.text for value in backends.findall("value")}
    return DomainDocument(
        cpu_modes=tuple(modes),
        # BIOS needs no description and is never listed.
        firmwares=("bios", *(name for name in offered if name != "bios")),
        has_vfio=hostdev is not None and hostdev.get("supported") == "yes" and has_backend,
    )


def _numa_node(cell: ElementTree.Element) -> NumaNode:
    found = cell.findall("cpus/cpu")
    return NumaNode(
        id=int(cell.get("id", "0")),
        memory_mib=int(cell.findtext("memory", "0")) // 1024,
        cpus=tuple(sorted(int(cpu.get("id", "0")) for cpu in found)),
        cores=_cores(found),
    )


def _cores(cpus: Sequence[ElementTree.Element]) -> tuple[tuple[int, ...], ...]:
    """CPUs that are threads of one core; empty where libvirt does not say."""
    if any(cpu.get("core_id") is None for cpu in cpus):
        return ()
    cores: dict[tuple[str, ...], list[int]] = {}
    for cpu in cpus:
        place = tuple(cpu.get(name, "") for name in ("socket_id", "die_id", "cluster_id", "core_id"))
        cores.setdefault(place, []).append(int(cpu.get("id", "0")))
    return tuple(sorted(tuple(sorted(threads)) for threads in cores.values()))


def _domain_types(root: ElementTree.Element) -> tuple[str, ...]:
    found: list[str] = []
    for arch in root.findall("guest/arch"):
        if arch.get("name") == "x86_64":
            found += [domain.get("type", "") for domain in arch.findall("domain")]
    return tuple(dict.fromkeys(found))
