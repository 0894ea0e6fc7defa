"""What a launcher pod asks for: the guest's processors and memory, and what QEMU needs beside them. Pure.

240Mi + 8Mi for each vCPU + 8Mi + 32Mi with graphics + 1Gi with any GPU + requests.memory/512 + 100Mi with dedicated CPUs
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.kubernetes.kubevirt.fields import Document, at, items
from tests.kubernetes.kubevirt.quantities import MIB, memory, size_bytes

BASE_MIB = 240 + 8
PER_CPU_MIB = 8
GRAPHICS_MIB = 32
VFIO_MIB = 1024
DEDICATED_MIB = 100
ALLOCATION_RATIO = 10


def vcpus(domain: Document) -> int:
    cpu = at(domain, "cpu", default={})
    return int(cpu.get("cores") or 1) * int(cpu.get("sockets") or 1) * int(cpu.get("threads") or 1)


def is_dedicated(domain: Document) -> bool:
    return bool(at(domain, "cpu", "dedicatedCpuPlacement", default=False))


def guest_bytes(domain: Document) -> int:
    """What the guest sees as its memory: `memory.guest`, or what is requested."""
    asked = at(domain, "memory", "guest") or at(domain, "resources", "requests", "memory")
    asked = asked or at(domain, "resources", "limits", "memory") or 0
    return size_bytes(asked)


def uses_devices(domain: Document, claims: set[str]) -> bool:
    """Whether there is a GPU or host device of either kind; one in `resources.limits` alone is not seen."""
    devices = at(domain, "devices", default={})
    listed = [*items(devices, "gpus"), *items(devices, "hostDevices")]
    return any(each.get("deviceName") or each.get("claimName") in claims for each in listed)


def overhead_bytes(spec: Document) -> int:
    """Args: spec: of the instance."""
    domain = spec["domain"]
    mib = BASE_MIB + PER_CPU_MIB * vcpus(domain)
    if at(domain, "devices", "autoattachGraphicsDevice", default=True):
        mib += GRAPHICS_MIB
    if uses_devices(domain, {each["name"] for each in items(spec, "resourceClaims")}):
        mib += VFIO_MIB
    if is_dedicated(domain):
        mib += DEDICATED_MIB
    return mib * MIB + size_bytes(at(domain, "resources", "requests", "memory", default=0)) // 512


@dataclass(slots=True)
class Resources:
    """Requests and limits of the container `compute`."""

    requests: dict[str, str] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)

    def both(self, name: str, amount: str) -> None:
        self.requests[name] = self.limits[name] = amount

    def document(self) -> dict[str, Any]:
        return {"requests": self.requests, "limits": self.limits}


def compute_resources(spec: Document) -> Resources:
    """Args: spec: of the instance."""
    found = Resources()
    domain = spec["domain"]
    _put_cpu(found, domain)
    _put_memory(found, spec)
    found.requests["ephemeral-storage"] = "50M"
    found.both("devices.kubevirt.io/kvm", "1")
    if has_pod_network(spec):
        found.both("devices.kubevirt.io/tun", "1")
        found.both("devices.kubevirt.io/vhost-net", "1")
    asked = at(domain, "resources", "requests", default={}) | at(domain, "resources", "limits", default={})
    for name, amount in asked.items():
        if name not in ("cpu", "memory"):
            found.both(name, str(amount))
    for name, count in _devices(domain).items():
        found.both(name, str(count))
    return found


def has_pod_network(spec: Document) -> bool:
    return any("pod" in each for each in items(spec, "networks"))


def _put_cpu(found: Resources, domain: Document) -> None:
    count = vcpus(domain)
    asked = at(domain, "resources", "requests", "cpu")
    if is_dedicated(domain):
        threads = str(count + bool(at(domain, "cpu", "isolateEmulatorThread", default=False)))
        found.both("cpu", threads)
    elif asked:
        found.requests["cpu"] = str(asked)
    else:
        found.requests["cpu"] = f"{count * 1000 // ALLOCATION_RATIO}m"


def _put_memory(found: Resources, spec: Document) -> None:
    domain = spec["domain"]
    page = at(domain, "memory", "hugepages", "pageSize")
    over = overhead_bytes(spec)
    if page:
        found.both(f"hugepages-{page}", memory(guest_bytes(domain)))
        amount = over
    else:
        amount = size_bytes(at(domain, "resources", "requests", "memory", default=0) or guest_bytes(domain)) + over
    found.requests["memory"] = memory(amount)
    if is_dedicated(domain):
        found.limits["memory"] = memory(amount)


def _devices(domain: Document) -> dict[str, int]:
    counted: dict[str, int] = {}
    devices = at(domain, "devices", default={})
    for each in [*items(devices, "gpus"), *items(devices, "hostDevices")]:
        if name := each.get("deviceName"):
            counted[name] = counted.get(name, 0) + 1
    return counted
