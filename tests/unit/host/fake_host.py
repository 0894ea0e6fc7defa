"""A host's /sys, /proc and /dev below a folder, as far as the two programs read them, and a kernel that reacts to a few writes.

Files are plain: what a write would do on a real host happens when `react` is called, or in `ReactingHost`'s thread.
"""

from __future__ import annotations

import os
from pathlib import Path

H100_RESOURCE = "\n".join(
    [
        "0x00000000c0000000 0x00000000c0ffffff 0x0000000000040200",
        "0x0000040000000000 0x0000041fffffffff 0x000000000014220c",
        "0x0000000000000000 0x0000000000000000 0x0000000000000000",
        "0x0000042000000000 0x0000042001ffffff 0x000000000014220c",
        "0x0000000000000000 0x0000000000000000 0x0000000000000000",
        "0x000000000000e000 0x000000000000e07f 0x0000000000040101",
        "0x00000000c1000000 0x00000000c107ffff 0x0000000000046200",
    ]
)
ROOT_PORT = "0000:40:01.0"
GPU, AUDIO = "0000:41:00.0", "0000:41:00.1"


def config_space(*, ids: str, header: int = 0, serial: bytes = b"", size: int = 4096) -> bytes:
    """Config space with these ids, and a Device Serial Number behind an AER capability if one is given."""
    vendor, device = (int(part, 16).to_bytes(2, "little") for part in ids.split(":"))
    space = bytearray(size)
    space[0:4] = vendor + device
    space[14] = header
    if serial:
        space[0x100:0x104] = (0x0001 | 2 << 16 | 0x140 << 20).to_bytes(4, "little")
        space[0x140:0x144] = (0x0003 | 1 << 16).to_bytes(4, "little")
        space[0x144:0x14C] = serial[::-1]
    return bytes(space)


class FakeHost:
    """The files of one host, which a test fills as it needs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("sys/bus/pci/drivers_probe", "")
        for driver in ("vfio-pci", "nvidia", "snd_hda_intel", "pcieport"):
            self.driver(driver)

    def __str__(self) -> str:
        return str(self.root)

    def write(self, path: str, content: str | bytes) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def link(self, path: str, target: Path) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(os.path.relpath(target, place.parent))

    def driver(self, name: str) -> None:
        for file in ("bind", "unbind"):
            self.write(f"sys/bus/pci/drivers/{name}/{file}", "")

    def pci(
        self, address: str, *, ids: str, pci_class: str, below: str = "", driver: str = "", group: int | None = None,
        header: int = 0, serial: bytes = b"", files: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        """A function: its directory in the tree of devices, and the links that lead there."""
        above = (self.root / f"sys/bus/pci/devices/{below}").resolve() if below else self.root / "sys/devices/pci0000:40"
        folder = above / address
        folder.mkdir(parents=True, exist_ok=True)
        self.link(f"sys/bus/pci/devices/{address}", folder)
        vendor, device = ids.split(":")
        texts = {"vendor": f"0x{vendor}", "device": f"0x{device}", "class": f"0x{pci_class}", "numa_node": "-1"}
        for name, text in (texts | {"driver_override": "(null)", "resource": ""} | (files or {})).items():
            (folder / name).write_text(text + "\n")
        (folder / "config").write_bytes(config_space(ids=ids, header=header, serial=serial))
        if group is not None:
            members = self.root / f"sys/kernel/iommu_groups/{group}"
            self.link(f"sys/kernel/iommu_groups/{group}/devices/{address}", folder)
            (folder / "iommu_group").symlink_to(os.path.relpath(members, folder))
        if driver:
            self.bind(address, driver)

    def bind(self, address: str, driver: str) -> None:
        """What the kernel does when a driver takes the function; none with an empty one."""
        place = (self.root / f"sys/bus/pci/devices/{address}").resolve() / "driver"
        place.unlink(missing_ok=True)
        if driver:
            place.symlink_to(os.path.relpath(self.root / f"sys/bus/pci/drivers/{driver}", place.parent))

    def device(self, address: str, name: str, content: str | bytes) -> Path:
        return self.write(f"sys/bus/pci/devices/{address}/{name}", content)

    def process(self, pid: int, command: str, *paths: str, state: str = "S", cmdline: str = "") -> None:
        """A process that has these files of /dev open."""
        self.write(f"proc/{pid}/comm", command + "\n")
        self.write(f"proc/{pid}/stat", f"{pid} ({command}) {state} 1 1\n")
        self.write(f"proc/{pid}/cmdline", cmdline.replace(" ", "\0"))
        folder = self.root / f"proc/{pid}/fd"
        folder.mkdir(parents=True, exist_ok=True)
        for number, path in enumerate(paths):
            (folder / str(number)).symlink_to(path)


def gpu_host(root: Path) -> FakeHost:
    """A GPU and its audio function in one group below a root port, on their own drivers."""
    host = FakeHost(root)
    host.pci(ROOT_PORT, ids="8086:352a", pci_class="060400", driver="pcieport", group=19, header=0x81)
    card = {"subsystem_vendor": "0x10de", "subsystem_device": "0x1626", "revision": "0xa1", "numa_node": "1"}
    link = {
        "current_link_width": "8",
        "max_link_width": "16",
        "current_link_speed": "2.5 GT/s PCIe",
        "max_link_speed": "32.0 GT/s PCIe",
    }
    state = {
        "power_state": "D0",
        "d3cold_allowed": "1",
        "reset_method": "flr bus",
        "reset": "",
        "sriov_numvfs": "0",
        "boot_vga": "0",
    }
    errors = {
        "aer_dev_fatal": "Undefined 0\nTOTAL_ERR_FATAL 1",
        "aer_dev_nonfatal": "TOTAL_ERR_NONFATAL 2",
        "aer_dev_correctable": "RxErr 3\nTOTAL_ERR_COR 3",
    }
    host.pci(
        GPU, ids="10de:2330", pci_class="030200", below=ROOT_PORT, driver="nvidia", group=20,
        serial=bytes.fromhex("48b02d0001020304"), files={"resource": H100_RESOURCE} | card | link | state | errors,
    )  # fmt: skip
    host.pci(AUDIO, ids="10de:22ba", pci_class="040300", below=ROOT_PORT, driver="snd_hda_intel", group=20)
    host.write(f"proc/driver/nvidia/gpus/{GPU}/information", "Model: \t\t NVIDIA H100\nDevice Minor: \t 3\n")
    return host
