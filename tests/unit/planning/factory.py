"""Small fleets, written down in a line: hosts, claims and VMs with everything a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from provisioner.model.gpu_claim import ClaimOwner, GPUClaim, GPUClaimSpec, GPUClaimStatus
from provisioner.model.gpu_host import (
    GpuFacts,
    GPUHost,
    GPUHostSpec,
    GPUHostStatus,
    HostCapabilities,
    HostNetwork,
    KvmVerdict,
    NumaNode,
    Quarantine,
    StoragePool,
    claim_name,
)
from provisioner.model.metadata import Metadata
from provisioner.model.pci import PciFunction
from provisioner.model.sizing import GuestSize
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import GpuAssignment, GpuRequest, SystemDisk, VirtualMachine, VirtualMachineSpec
from provisioner.model.vm_disk import VMDisk, VMDiskSpec, VMDiskStatus
from provisioner.planning.fleet import Commitment, Fleet
from provisioner.planning.requests import GpuNeed, PlacementRequest

TABLES = Tables.builtin()
L40S, H100, BOCHS = "nvidia.com/AD102GL_L40S", "nvidia.com/GH100_H100_PCIE", "hikube.cloud/bochs-display"
IDS = {L40S: ("10de", "26b9"), H100: ("10de", "2331"), BOCHS: ("1234", "1111")}
GIB = 2**30
SIZE = GuestSize(sockets=1, cores_per_socket=2, memory_mib=4096)


def gpu(
    bus: int,
    name: str = L40S,
    *,
    node: int | None = 0,
    companions: int = 1,
    sharing: tuple[PciFunction, ...] = (),
    parent: str = "",
    **facts: Any,
) -> GpuFacts:
    """A GPU at 0000:<bus>:00.0 with audio functions beside it; `sharing` is what else is in its IOMMU group."""
    vendor, device = IDS[name]
    slot = f"0000:{bus:02x}:00"
    audio = tuple(
        PciFunction(address=f"{slot}.{number}", vendor="10de", device="22ba", pci_class="040300", driver="snd_hda_intel")
        for number in range(1, companions + 1)
    )
    values: dict[str, Any] = {
        "function": PciFunction(address=f"{slot}.0", vendor=vendor, device=device, pci_class="030200", driver="nvidia"),
        "name": name,
        "iommu_group": bus,
        "companions": (*audio, *sharing),
        "numa_node": node,
        "pcie_parent": parent or f"0000:00:{bus % 32:02x}.0",
    }
    return GpuFacts(**{**values, **facts})


def host(name: str = "a", *gpus: GpuFacts, nodes: int = 2, spec: dict[str, Any] | None = None, **status: Any) -> GPUHost:
    """A healthy host with 64 CPUs and 256 GiB."""
    labels = status.pop("labels", {})
    deleted = status.pop("deletion_timestamp", None)
    cpus, memory_mib = status.pop("cpus", 64), status.pop("memory_mib", 256 * 1024)
    share = range(cpus // nodes)
    values: dict[str, Any] = {
        "reachable": True,
        "last_seen": "2026-11-21T12:00:00.000000Z",
        "cpus": cpus,
        "memory_mib": memory_mib,
        "gpus": gpus,
        "numa_nodes": tuple(
            NumaNode(id=node, memory_mib=memory_mib // nodes, cpus=tuple(node * len(share) + cpu for cpu in share))
            for node in range(nodes)
        ),
        "kvm": KvmVerdict(works=True),
        "capabilities": HostCapabilities(
            cpu_modes=("host-passthrough", "host-model", "maximum"), firmwares=("bios", "efi"), vfio=True
        ),
        "storage_pools": (
            StoragePool(name="default", active=True, path="/pool", capacity_bytes=1000 * GIB, available_bytes=500 * GIB),
        ),
        "networks": (HostNetwork(name="default", active=True, forward="nat"),),
    }
    return GPUHost(
        metadata=Metadata(name=name, labels=labels, deletion_timestamp=deleted),
        spec=GPUHostSpec(uri=f"simulated://{name}", **(spec or {})),
        status=GPUHostStatus(**{**values, **status}),
    )


def quarantined(*addresses: str) -> tuple[Quarantine, ...]:
    return tuple(Quarantine(address=address, reason="did not reset", since="2026-11-21T12:00:00Z") for address in addresses)


def claim(host_name: str, address: str, *, owner: str = "other", **status: Any) -> GPUClaim:
    return GPUClaim(
        metadata=Metadata(name=claim_name(host_name, address)),
        spec=GPUClaimSpec(
            host=host_name,
            address=address,
            gpu_name=L40S,
            owner=ClaimOwner(kind="VirtualMachine", namespace="default", name=owner, uid=f"uid-{owner}"),
        ),
        status=GPUClaimStatus(**status),
    )


def commitment(host_name: str, *, owner: str = "other", vcpus: int = 0, memory_mib: int = 0, gpus: int = 0) -> Commitment:
    return Commitment(
        owner=vm(owner).key, owner_uid=f"uid-{owner}", host=host_name, vcpus=vcpus, memory_mib=memory_mib, gpus=gpus
    )


def fleet(*hosts: GPUHost, claims: tuple[GPUClaim, ...] = (), commitments: tuple[Commitment, ...] = ()) -> Fleet:
    return Fleet.of(hosts, claims=claims, commitments=commitments)


def asks(count: int = 0, name: str = L40S, **changes: Any) -> PlacementRequest:
    """A request of 2 vCPUs and 4 GiB."""
    needs = (GpuNeed(name, count, label={L40S: "L40S", H100: "H100"}.get(name, "")),) if count else ()
    return PlacementRequest(**{"vcpus": 2, "memory_mib": 4096, "gpus": needs, "owner_uid": "uid-me", **changes})


def vm(
    name: str = "me", *, gpus: tuple[GpuAssignment, ...] = (), status: dict[str, Any] | None = None, **spec: Any
) -> VirtualMachine:
    """A VirtualMachine with a 20 GiB system disk, that owns these GPUs."""
    values = {
        "system_disk": SystemDisk(image="ubuntu", storage="20Gi"),
        "gpus": tuple(GpuRequest(name=gpu.name) for gpu in gpus),
    }
    made = VirtualMachine(
        metadata=Metadata(name=name, namespace="default", uid=f"uid-{name}"), spec=VirtualMachineSpec(**{**values, **spec})
    )
    return made.with_status(gpus=gpus, **(status or {}))


def assigned(host_name: str, *facts: GpuFacts) -> tuple[GpuAssignment, ...]:
    return tuple(
        GpuAssignment(
            name=known.name,
            host=host_name,
            address=known.address,
            companions=tuple(other.address for other in known.companions),
        )
        for known in facts
    )


def vm_disk(name: str, *, host_name: str = "", volume: str = "", **spec: Any) -> VMDisk:
    return VMDisk(
        metadata=Metadata(name=name, namespace="default", uid=f"uid-{name}"),
        spec=VMDiskSpec(**{"storage": "10Gi", **spec}),
        status=VMDiskStatus(host=host_name, volume=volume),
    )
