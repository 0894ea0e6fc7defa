"""The program that looks at a host from inside: one JSON document of the shape of HostExamination.

It changes nothing and starts no other program. What cannot be read is left out or null; a device whose lock is held (see
guarding) is shown with what can be had without it. Formats: docs/reference/examination.md.

    ARGUMENTS   addresses   the functions to look at; every member of their groups comes with them
                limit_s     for the whole
                root        where the host's files are; `/` if left out
"""

from __future__ import annotations

import contextlib
import json
import os

from templates.host.guarding import HELPER, READER, Failed, TimedOut, guarded
from templates.host.kernel_files import (
    DEVICES,
    config_bytes,
    driver_of,
    group_of,
    is_alive,
    is_bridge,
    is_there,
    names,
    parent_of,
    read,
    reset_methods,
)
from templates.host.processes import Processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CAP_SYS_RESOURCE = 24
SERIAL_CAPABILITY = 0x0003
EXTENDED_CAPABILITIES = 64
"""More of them than that is a loop."""
MEMORY_BAR, PREFETCHABLE, IS_64_BIT = 0x200, 0x2000, 0x100000
"""IORESOURCE_* of include/linux/ioport.h, the flag column of a `resource` file."""
FRAMEBUFFERS = ("efifb", "simple-framebuffer", "simplefb", "BOOTFB", "vesafb")


def examine(addresses: list[str], *, limit_s: float, root: str = "/") -> dict[str, Any]:
    """The whole examination."""
    processes = Processes(root)
    units = names(root, "sys/class/iommu")
    return {
        "boot_id": read(root, "proc/sys/kernel/random/boot_id"),
        "kernel_release": read(root, "proc/sys/kernel/osrelease"),
        "kernel_command_line": read(root, "proc/cmdline"),
        "iommu_units": units,
        "iommu_address_width_bits": iommu_width(root, units),
        "interrupt_remapping": interrupt_remapping(root, units),
        "unsafe_interrupts_allowed": read(root, "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts") == "Y",
        "cpu_address_width_bits": cpu_width(root),
        "memory_available_mib": memory_available(root),
        "memlock_limit_mib": memlock_limit(root, processes),
        "hugepages": hugepages(root),
        "framebuffers": framebuffers(root),
        "has_kvm_node": os.path.exists(os.path.join(root, "dev/kvm")),
        "has_vfio_module": has_vfio(root),
        "functions": functions(root, asked(root, addresses), processes, stall_s=limit_s / 4),
    }


def iommu_width(root: str, units: list[str]) -> int | None:
    """The narrowest unit's guest address width: MGAW, bits 21 to 16 of Intel's capability register. AMD's is not in sysfs."""
    caps = [read(root, f"sys/class/iommu/{unit}/intel-iommu/cap") for unit in units]
    widths = [(int(cap, 16) >> 16 & 0x3F) + 1 for cap in caps if cap]
    return min(widths) if widths else None


def interrupt_remapping(root: str, units: list[str]) -> bool | None:
    """Interrupts that are remapped come from chips whose names begin with IR-."""
    interrupts = read(root, "proc/interrupts")
    if not interrupts:
        return None
    return bool(units) and "IR-" in interrupts


def cpu_width(root: str) -> int | None:
    """Physical address bits of the CPU, `address sizes : 46 bits physical, 48 bits virtual`."""
    for line in read(root, "proc/cpuinfo").splitlines():
        if line.startswith("address sizes"):
            return int(line.partition(":")[2].split()[0])
    return None


def memory_available(root: str) -> int | None:
    """MemAvailable in MiB."""
    for line in read(root, "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return None


def memlock_limit(root: str, processes: Processes) -> int | None:
    """What libvirtd's QEMUs may lock, in MiB; None if there is no limit, or libvirtd may raise it as it needs."""
    for pid in processes.libvirt:
        for line in read(root, f"proc/{pid}/status").splitlines():
            if line.startswith("CapEff:") and int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1:
                return None
        for line in read(root, f"proc/{pid}/limits").splitlines():
            hard = line[len("Max locked memory") :].split()[1:2]
            if line.startswith("Max locked memory") and hard != ["unlimited"]:
                return int(hard[0]) // 2**20
    return None


def hugepages(root: str) -> list[dict[str, int]]:
    """Pools that have pages, by node and size."""
    found = []
    base = "sys/devices/system/node"
    for node in names(root, base):
        if not node[4:].isdigit() or not node.startswith("node"):
            continue
        for name in names(root, f"{base}/{node}/hugepages"):
            folder = f"{base}/{node}/hugepages/{name}"
            total, free = read(root, f"{folder}/nr_hugepages"), read(root, f"{folder}/free_hugepages")
            if total.isdigit() and int(total):
                size_kib = int(name[len("hugepages-") : -len("kB")])
                found.append({"size_kib": size_kib, "node": int(node[4:]), "total": int(total), "free": int(free or 0)})
    return found


def framebuffers(root: str) -> list[dict[str, Any]]:
    """Ranges of /proc/iomem that a console of the firmware's holds; all zeros is what others than root are shown."""
    found = []
    for line in read(root, "proc/iomem").splitlines():
        region, _, name = line.strip().partition(" : ")
        start, _, end = region.partition("-")
        if name.startswith(FRAMEBUFFERS) and int(end, 16):
            found.append({"name": name, "start": int(start, 16), "end": int(end, 16)})
    return found


def has_vfio(root: str) -> bool:
    """Whether vfio-pci is loaded, or can be."""
    if os.path.isdir(os.path.join(root, "sys/bus/pci/drivers/vfio-pci")):
        return True
    modules = f"lib/modules/{read(root, 'proc/sys/kernel/osrelease')}/kernel/drivers/vfio/pci"
    return any(name.startswith("vfio-pci.ko") for name in names(root, modules))


def asked(root: str, addresses: list[str]) -> list[str]:
    """Those of the functions that are there, with every member of their groups."""
    found = set()  # type: set[str]
    for address in addresses:
        if is_there(root, address):
            found |= {address, *names(root, f"{DEVICES}/{address}/iommu_group/devices")}
    return sorted(found)


def functions(root: str, addresses: list[str], processes: Processes, *, stall_s: float) -> list[dict[str, Any]]:
    """Each function; one whose lock is held costs `stall_s` the first time it is met, and nothing as long as it stays so."""
    return [function(root, address, processes, stall_s=stall_s) for address in addresses]


def function(root: str, address: str, processes: Processes, *, stall_s: float) -> dict[str, Any]:
    """One function, without what its lock keeps from us."""
    found = at_a_glance(root, address, processes)
    stuck = processes.stuck_helper(address)
    if stuck:
        found["holders"].append({"pid": stuck, "command": HELPER + address, "path": f"/{DEVICES}/{address}"})
    else:
        with contextlib.suppress(TimedOut, Failed):
            found.update(guarded(READER + address, lambda: behind_the_lock(root, address, found["pci_class"]), limit_s=stall_s))
    return found


def at_a_glance(root: str, address: str, processes: Processes) -> dict[str, Any]:
    """What takes no lock."""
    folder = f"{DEVICES}/{address}"
    node = read(root, f"{folder}/numa_node")
    pci_class = read(root, f"{folder}/class")[2:]
    return {
        "address": address,
        "vendor": read(root, f"{folder}/vendor")[2:],
        "device": read(root, f"{folder}/device")[2:],
        "subsystem_vendor": read(root, f"{folder}/subsystem_vendor")[2:],
        "subsystem_device": read(root, f"{folder}/subsystem_device")[2:],
        "revision": read(root, f"{folder}/revision")[2:],
        "pci_class": pci_class,
        "driver": driver_of(root, address),
        "is_bridge": is_bridge(b"", pci_class),
        "iommu_group": group_of(root, address),
        "group_members": names(root, f"{folder}/iommu_group/devices"),
        "numa_node": int(node) if node.isdigit() else None,
        "parent": parent_of(root, address),
        "power_state": read(root, f"{folder}/power_state"),
        "d3cold_allowed": flag(read(root, f"{folder}/d3cold_allowed")),
        "reset_methods": reset_methods(root, address),
        "link_width": width(read(root, f"{folder}/current_link_width")),
        "link_width_max": width(read(root, f"{folder}/max_link_width")),
        "link_speed_gts": speed(read(root, f"{folder}/current_link_speed")),
        "link_speed_max_gts": speed(read(root, f"{folder}/max_link_speed")),
        "boot_vga": read(root, f"{folder}/boot_vga") == "1",
        "bars": bars(read(root, f"{folder}/resource")),
        "aer": aer(root, folder),
        "holders": processes.holders(address),
    }


def behind_the_lock(root: str, address: str, pci_class: str) -> dict[str, Any]:
    """What the kernel tells only while nobody holds the device's lock. For a child."""
    folder = f"{DEVICES}/{address}"
    override, virtual = read(root, f"{folder}/driver_override"), read(root, f"{folder}/sriov_numvfs")
    head = config_bytes(root, address, 0, 64)
    return {
        "driver_override": "" if override == "(null)" else override,
        "virtual_functions": int(virtual) if virtual.isdigit() else 0,
        "config_alive": is_alive(head),
        "is_bridge": is_bridge(head, pci_class),
        "serial": serial(root, address) if is_alive(head) else "",
    }


def serial(root: str, address: str) -> str:
    """The Device Serial Number of the extended config space, as lspci writes it; empty if it has none."""
    offset = 0x100
    for _ in range(EXTENDED_CAPABILITIES):
        header = config_bytes(root, address, offset, 12)
        if len(header) < 12 or header[:4] in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
            return ""
        if header[0] | header[1] << 8 == SERIAL_CAPABILITY:
            return "-".join(f"{byte:02x}" for byte in reversed(header[4:12]))
        offset = (header[2] | header[3] << 8) >> 4
        if offset < 0x100:
            return ""
    return ""


def bars(resource: str) -> list[dict[str, Any]]:
    """Memory BARs that have a size, from the first six lines of a `resource` file: start, end, flags."""
    found = []
    for index, line in enumerate(resource.splitlines()[:6]):
        start, end, flags = ([int(number, 16) for number in line.split()] + [0, 0, 0])[:3]
        if end > start and flags & MEMORY_BAR:
            found.append(
                {
                    "index": index,
                    "start": start,
                    "size_bytes": end - start + 1,
                    "is_64_bit": bool(flags & IS_64_BIT),
                    "is_prefetchable": bool(flags & PREFETCHABLE),
                }
            )
    return found


def aer(root: str, folder: str) -> dict[str, int] | None:
    """The totals of its error counters; None if it keeps none."""
    totals = {}
    for kind, name in (("fatal", "TOTAL_ERR_FATAL"), ("nonfatal", "TOTAL_ERR_NONFATAL"), ("correctable", "TOTAL_ERR_COR")):
        for line in read(root, f"{folder}/aer_dev_{kind}").splitlines():
            words = line.split()
            if words[:1] == [name]:
                totals[kind] = int(words[1])
    return totals or None


def width(text: str) -> int | None:
    """Lanes of a link; None for what is no PCI Express link."""
    return int(text) if text.isdigit() and 0 < int(text) <= 32 else None


def speed(text: str) -> float | None:
    """`16.0 GT/s PCIe` as a number; None for `Unknown`."""
    number = text.split(" ", 1)[0]
    return float(number) if number.replace(".", "", 1).isdigit() else None


def flag(text: str) -> bool | None:
    """0 or 1; None if there is neither."""
    return text == "1" if text in ("0", "1") else None


def main(arguments: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request: an examination, or why there is none."""
    root = arguments.get("root", "/")
    if root == "/" and os.geteuid() != 0:
        return {"why_not": "the user of its URI is not root there, and others see neither processes nor config space"}
    return examine(arguments["addresses"], limit_s=arguments["limit_s"], root=root)


if __name__ == "__main__":
    print(json.dumps(main(globals()["ARGUMENTS"])))
