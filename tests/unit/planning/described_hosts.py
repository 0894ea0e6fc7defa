"""Hosts of tests/hosts as resources, and VMs placed on them by the production planner."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml

from provisioner.model.gpu_host import (
    FreeHugepages,
    GpuFacts,
    GPUHost,
    GPUHostSpec,
    GPUHostStatus,
    HostCapabilities,
    HostNetwork,
    KvmVerdict,
    NumaNode,
    StoragePool,
)
from provisioner.model.metadata import Metadata
from provisioner.model.pci import PciFunction, slot_of
from provisioner.model.sizing import GuestSize
from provisioner.planning.fleet import Fleet
from provisioner.planning.hardware import HardwarePlan, plan_domain
from provisioner.planning.placement import Placement, place
from provisioner.planning.requests import request_for
from templates.domain import render_domain
from tests.unit.planning.factory import GIB, TABLES, assigned, vm

FOLDER = Path(__file__).parents[2] / "hosts"
NAMES = tuple(sorted(file.stem for file in FOLDER.glob("*.yaml")))


@dataclass(frozen=True)
class Planned:
    """One VM on one host."""

    host: GPUHost
    size: GuestSize
    made: HardwarePlan
    xml: str


@cache
def described(name: str) -> GPUHost:
    data = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    nodes = tuple(_node(index, each) for index, each in enumerate(data["nodes"]))
    capabilities = HostCapabilities(
        libvirt_version=data["libvirt"],
        cpu_modes=("host-passthrough", "host-model", "maximum"),
        firmwares=("bios", "efi"),
        vfio=True,
        address_width_bits=data["cpuWidthBits"],
    )
    status = GPUHostStatus(
        reachable=True,
        last_seen="2026-11-21T12:00:00.000000Z",
        examined="2026-11-21T12:00:00.000000Z",
        cpus=sum(len(node.cpus) for node in nodes),
        memory_mib=sum(node.memory_mib for node in nodes),
        numa_nodes=nodes,
        gpus=tuple(_gpu(each, data["model"], index) for index, each in enumerate(data["gpus"])),
        kvm=KvmVerdict(works=True),
        capabilities=capabilities,
        storage_pools=(
            StoragePool(name="default", active=True, path="/pool", capacity_bytes=8000 * GIB, available_bytes=8000 * GIB),
        ),
        networks=(HostNetwork(name="default", active=True, forward="nat"),),
        iommu_address_width_bits=data["iommuWidthBits"],
        hugepages=tuple(
            FreeHugepages(node=node, size_kib=size, total=free, free=free)
            for size, counts in data["hugepages"].items()
            for node, free in enumerate(counts)
        ),
    )
    return GPUHost(metadata=Metadata(name=name), spec=GPUHostSpec(uri=f"qemu+ssh://root@{name}/system"), status=status)


def others(name: str) -> list[dict[str, Any]]:
    """Functions of the host that are no GPUs."""
    found: list[dict[str, Any]] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text()).get("others", [])
    return found


@cache
def planned(name: str, count: int, *, firmware: str = "efi", size: GuestSize | None = None) -> Planned:
    """A VM with so many of the host's GPUs, where placement puts it; by default with a fair share of the host."""
    host = described(name)
    gpus = len(host.status.gpus)
    share = count / gpus
    vcpus = max(count, int(host.status.cpus // 2 * share))
    size = size or GuestSize(1, vcpus, int(host.status.memory_mib * 0.8 * share) // 1024 * 1024)
    machine = vm(gpus=assigned(name, *host.status.gpus[:count]))
    request = request_for(machine.with_status(gpus=()), size=size, tables=TABLES, firmware=firmware)
    placement = place(request, Fleet.of([host]))
    assert isinstance(placement, Placement), placement.sentence()
    facts = {gpu.address: gpu for gpu in host.status.gpus}
    owned = machine.with_status(gpus=assigned(name, *(facts[address] for address in placement.gpus)))
    made = plan_domain(owned, size=size, host=host, tables=TABLES, firmware=firmware)
    xml = render_domain(made.plan, pool_paths={"default": "/pool"}, console_log_path="/pool/console.log")
    return Planned(host, size, made, xml)


def _node(index: int, each: dict[str, Any]) -> NumaNode:
    first, second = _range(each["cores"]), _range(each["threads"])
    cores = tuple(tuple(cpu for cpu in pair if cpu is not None) for pair in zip_longest(first, second))
    return NumaNode(id=index, memory_mib=each["memoryGib"] * 1024, cpus=tuple(sorted((*first, *second))), cores=cores)


def _range(text: str) -> list[int]:
    first, last = map(int, str(text).split("-"))
    return list(range(first, last + 1))


def _gpu(each: dict[str, Any], model: str, index: int) -> GpuFacts:
    vendor, device = each["id"].split(":")
    slot = slot_of(each["address"])
    companions = tuple(
        PciFunction(
            address=f"{slot}.{number}", vendor=one["id"][:4], device=one["id"][5:], pci_class=one["class"], driver="vfio-pci"
        )
        for number, one in enumerate(each.get("companions", ()), start=1)
    )
    return GpuFacts(
        function=PciFunction(address=each["address"], vendor=vendor, device=device, pci_class="030200", driver="vfio-pci"),
        name=model,
        iommu_group=20 + index,
        companions=companions,
        numa_node=each["node"],
        pcie_parent=each["parent"],
        bar_bytes=tuple(size * 2**20 for size in each["bars"]),
    )
