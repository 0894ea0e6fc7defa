"""Hardware plans in a real libvirt and a real QEMU: what no schema knows, they refuse only when a guest starts."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace

import libvirt
import pytest

from provisioner.drivers.hypervisor import DomainState
from provisioner.drivers.libvirt.hypervisor import LibvirtHypervisor
from provisioner.planning.plans import DomainPlan, VcpuPin
from templates.domain import render_domain
from tests.unit.planning.described_hosts import planned

START_TIMEOUT_S = 60


def without_devices(plan: DomainPlan) -> DomainPlan:
    """The same guest on a machine that has neither the GPUs, nor the nodes, nor the memory, nor KVM."""
    cells = tuple(replace(cell, host_node=0, memory_mib=128) for cell in plan.cells)
    return replace(
        plan,
        domain_type="qemu",
        cpu_mode="maximum",
        memory_mib=128 * max(1, len(cells)),
        cells=cells,
        memory_mode="preferred",
        hugepage_kib=None,
        pins=tuple(VcpuPin(pin.vcpu, "0") for pin in plan.pins),
        emulator_cpuset="0" if plan.pins else "",
        # Emulated CPUs have 40 bits: QEMU refuses a window beyond them.
        pci_hole64_kib=min(plan.pci_hole64_kib or 0, 256 * 2**20) or None,
        address_width=None,
        functions=(),
        disks=(),
        interfaces=(),
        console_log=False,
    )


@pytest.fixture
def started(host: LibvirtHypervisor, libvirt_qemu_uri: str, request: pytest.FixtureRequest) -> Iterator[ElementTree.Element]:
    """The domain of a plan as libvirt runs it."""
    name, count, firmware = request.param
    plan = without_devices(planned(name, count, firmware=firmware).made.plan)
    if firmware == "efi":
        offered = host.inventory.survey(()).capabilities.firmwares
        if firmware not in offered:
            pytest.skip("no UEFI firmware here (package ovmf)")
        plan = replace(plan, firmware_window_mib=256 * 1024)
    host.domains.define(render_domain(plan, pool_paths={}, console_log_path=""))
    try:
        host.domains.start(plan.name, timeout_s=START_TIMEOUT_S)
        seen = host.domains.look(plan.name)
        assert seen is not None
        assert seen.state is DomainState.RUNNING
        yield ElementTree.fromstring(_xml(libvirt_qemu_uri, plan.name))
    finally:
        host.domains.destroy(plan.name, timeout_s=START_TIMEOUT_S)
        host.domains.undefine(plan.name)


def _xml(uri: str, name: str) -> str:
    connection = libvirt.open(uri)
    try:
        found: str = connection.lookupByName(name).XMLDesc()
        return found
    finally:
        connection.close()


@pytest.mark.parametrize(
    "started",
    [("a100-80gb-pcie", 8, "bios"), ("h100-nvl", 4, "bios"), ("l40s", 1, "bios"), ("l40s", 4, "efi")],
    indirect=True,
    ids=lambda values: "-".join(map(str, values)),
)
def test_qemu_starts_a_guest_with_the_planned_controllers_and_nodes(started: ElementTree.Element) -> None:
    ports = started.findall("devices/controller[@model='pcie-root-port']")
    chassis = [target.get("chassis") for each in ports if (target := each.find("target")) is not None]
    assert len(chassis) == len(ports)
    assert len(set(chassis)) == len(chassis), "libvirt gave two ports one chassis"
    places = [tuple(address.attrib.items()) for each in ports if (address := each.find("address")) is not None]
    assert len(set(places)) == len(ports)
    cells = started.findall("cpu/numa/cell")
    expanders = started.findall("devices/controller[@model='pcie-expander-bus']")
    assert len(expanders) == len(cells)
