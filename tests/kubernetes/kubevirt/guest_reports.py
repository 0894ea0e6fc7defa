"""What virt-handler writes into an instance: that the guest runs, what it is, whether its agent answers. Pure but for time."""

from __future__ import annotations

from copy import deepcopy

from tests.kubernetes.kubevirt.conditions import condition, find
from tests.kubernetes.kubevirt.fields import Document, at, items
from tests.kubernetes.kubevirt.instance_status import with_condition, with_phase, without_condition
from tests.kubernetes.kubevirt.overhead import guest_bytes
from tests.kubernetes.kubevirt.quantities import memory

NOT_MIGRATABLE = "HostDeviceNotLiveMigratable"
ONE_GPU = "VMI specifies a GPU but feature gate VGPULiveMigration is not enabled"
MANY_GPUS = "VMI specifies too many GPUs"
HOST_DEVICE = "VMI specifies non-migratable generic PCI host device"
GUEST_OS = {
    "id": "ubuntu",
    "name": "Ubuntu",
    "prettyName": "Ubuntu 24.04 LTS",
    "version": "24.04",
    "versionId": "24.04",
    "kernelRelease": "6.8.0",
    "machine": "x86_64",
}


def migration_blocker(spec: Document) -> str:
    """Why it cannot be moved; empty where it can."""
    devices = at(spec, "domain", "devices", default={})
    gpus = len(items(devices, "gpus"))
    if gpus:
        return ONE_GPU if gpus == 1 else MANY_GPUS
    return HOST_DEVICE if items(devices, "hostDevices") else ""


def running(instance: Document, *, address: str) -> Document:
    """From `Scheduled` to `Running`."""
    new = with_phase(instance, "Running")
    blocker = migration_blocker(instance["spec"])
    live, storage = condition("LiveMigratable", True, at=None), condition("StorageLiveMigratable", True, at=None)
    if blocker:
        live = condition("LiveMigratable", False, NOT_MIGRATABLE, blocker, at=None)
        storage = condition("StorageLiveMigratable", False, "NotMigratable", f"{NOT_MIGRATABLE}: {blocker}", at=None)
    new = with_condition(with_condition(new, live), storage)
    spec = instance["spec"]
    size = memory(guest_bytes(spec["domain"]))
    new["status"].setdefault("memory", {}).update(guestAtBoot=size, guestCurrent=size, guestRequested=size)
    cpu = at(spec, "domain", "cpu", default={})
    new["status"]["currentCPUTopology"] = {part: int(cpu.get(part) or 1) for part in ("cores", "sockets", "threads")}
    new["status"]["machine"] = {"type": "pc-q35-9.2"}
    new["status"]["migrationMethod"] = "BlockMigration"
    new["status"]["guestOSInfo"] = {}
    return with_address(new, address)


def with_address(instance: Document, address: str) -> Document:
    """The guest's first interface has this address, as the domain or the agent says."""
    new = deepcopy(instance)
    sources = "domain, guest-agent" if find(items(instance, "status", "conditions"), "AgentConnected") else "domain"
    for number, interface in enumerate(items(new, "status", "interfaces")):
        interface["infoSource"] = sources
        interface["mac"] = f"02:00:00:00:00:{number + 1:02x}"
        if number == 0 and address:
            interface.update(ipAddress=address, ipAddresses=[address])
        else:
            interface.pop("ipAddress", None)
            interface.pop("ipAddresses", None)
    return new


def with_agent(instance: Document, *, answers: bool, address: str) -> Document:
    """The agent has answered, or does not any more."""
    if not answers:
        new = without_condition(instance, "AgentConnected")
        new["status"]["guestOSInfo"] = {}
    else:
        new = with_condition(instance, condition("AgentConnected", True, at=None))
        new["status"]["guestOSInfo"] = dict(GUEST_OS)
    return with_address(new, address)
