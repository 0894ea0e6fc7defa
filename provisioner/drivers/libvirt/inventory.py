"""What a host has: one pass over its node devices, its capabilities, pools and networks.

Reads only; the one exception is `prove_kvm`, which starts a guest of a few hundred bytes. The number of round trips is one per
PCI function and about a dozen more; all of them go to the host in one operation under one time limit. What the API cannot tell
(BAR sizes, reset methods) is left empty: `examine` sees it from inside the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

import libvirt

from provisioner.drivers.host_shell import shell_for, why_no_shell
from provisioner.drivers.host_shell.examining import examine
from provisioner.drivers.libvirt import capabilities, kvm_probe, network_looks, nodedev
from provisioner.drivers.libvirt.connection import Connection
from provisioner.drivers.libvirt.errors import is_not_found
from provisioner.model.examination import HostExamination
from provisioner.model.gpu_host import GPUHostStatus, GpuRule, HostCapabilities, KvmVerdict, StoragePool

_SURVEY_TIMEOUT_S = 120.0
"""The first look at a host makes its libvirtd probe QEMU, which takes seconds, and much longer under emulation."""
_ARCHITECTURE, _MACHINE = "x86_64", "q35"
_PCI_DEVICES = libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV


class LibvirtInventory:
    """Inventory of one host."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def survey(self, rules: Sequence[GpuRule]) -> GPUHostStatus:
        """Everything of the status but `kvm`, `quarantined`, `conditions` and `last_seen`, which are the caller's."""
        what = "cannot take stock of the host"
        return self._connection.run(lambda raw: _survey(raw, rules), what=what, timeout_s=_SURVEY_TIMEOUT_S)

    def examine(self, addresses: Sequence[str], *, timeout_s: float) -> HostExamination:
        """See the protocol. libvirt is not asked: its port leads to libvirt only, and its view of devices is a cached one."""
        shell = shell_for(self._connection.uri)
        if shell is None:
            return HostExamination(why_not=why_no_shell(self._connection.uri))
        return examine(shell, addresses, timeout_s=timeout_s)

    def prove_kvm(self, *, timeout_s: float) -> KvmVerdict:
        """Start a tiny guest under KVM and see whether it runs; leaves nothing behind. `checked` is the caller's to set."""
        return kvm_probe.prove(self._connection, timeout_s=timeout_s)


def _survey(raw: libvirt.virConnect, rules: Sequence[GpuRule]) -> GPUHostStatus:
    host = capabilities.parse_host(raw.getCapabilities())
    info = raw.getInfo()
    return GPUHostStatus(
        reachable=True,
        hostname=raw.getHostname(),
        host_uuid=host.uuid,
        cpus=info[2],
        memory_mib=info[1],
        numa_nodes=host.numa_nodes,
        gpus=nodedev.gpus(pci_nodes(raw), rules),
        capabilities=_capabilities(raw, host),
        storage_pools=tuple(sorted(_pools(raw), key=lambda pool: pool.name)),
        networks=network_looks.networks(raw),
        interfaces=network_looks.interfaces(raw),
    )


def pci_nodes(raw: libvirt.virConnect) -> list[nodedev.PciNode]:
    """Every PCI function of the host; one that vanishes meanwhile is left out."""
    found: list[nodedev.PciNode] = []
    for device in raw.listAllDevices(_PCI_DEVICES):
        try:
            node = nodedev.parse(device.XMLDesc())
        except libvirt.libvirtError as error:
            if not is_not_found(error):
                raise
            continue
        if node is not None:
            found.append(node)
    return found


def _capabilities(raw: libvirt.virConnect, host: capabilities.HostDocument) -> HostCapabilities:
    versions = {"libvirt_version": _version(raw.getLibVersion()), "hypervisor_version": _version(raw.getVersion())}
    domain_type = "kvm" if "kvm" in host.domain_types else "qemu"
    try:
        xml = raw.getDomainCapabilities(None, _ARCHITECTURE, _MACHINE, domain_type)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        return HostCapabilities(**versions, machine="", address_width_bits=host.address_width_bits)
    domain = capabilities.parse_domain(xml)
    return HostCapabilities(
        **versions,
        cpu_modes=domain.cpu_modes,
        machine=_MACHINE,
        firmwares=domain.firmwares,
        vfio=domain.has_vfio and host.has_iommu,
        address_width_bits=host.address_width_bits,
    )


def _pools(raw: libvirt.virConnect) -> list[StoragePool]:
    found: list[StoragePool] = []
    for pool in raw.listAllStoragePools():
        root = ElementTree.fromstring(pool.XMLDesc())  # noqa: S314  written by libvirtd
        found.append(
            StoragePool(
                name=pool.name(),
                active=bool(pool.isActive()),
                path=root.findtext("target/path", ""),
                capacity_bytes=int(root.findtext("capacity", "0")),
                available_bytes=int(root.findtext("available", "0")),
            )
        )
    return found


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"
