"""Real firmware lays out BARs: the window that is told, the address bits that are seen, and buses behind an expander.

QEMU alone, under emulation, with no disk: firmware places every BAR before it looks for one. `pci-testdev` plays the GPU.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.planning.hardware.window import GIB, Bars, firmware_default_bytes, need_of, told_window_bytes

QEMU = "qemu-system-x86_64"
CODE, VARIABLES = Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
PLACED_WITHIN_S = 60.0
WIDTH_BITS = 40
"""Of QEMU's emulated CPUs."""


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    if shutil.which(QEMU) is None:
        pytest.skip(f"{QEMU} is not installed (package qemu-system-x86)")
    return tmp_path


def arguments(scratch: Path, *, bar_gib: int, firmware: str, told_mib: int | None) -> list[str]:
    found = [
        *(QEMU, "-M", "q35,accel=tcg", "-m", "512", "-cpu", "max", "-display", "none", "-nodefaults", "-no-reboot"),
        *("-object", "memory-backend-ram,id=m0,size=512M", "-numa", "node,nodeid=0,cpus=0,memdev=m0"),
        *("-device", "pxb-pcie,id=root,bus=pcie.0,bus_nr=64,numa_node=0"),
        *("-device", "pcie-root-port,id=rp,bus=root,chassis=2,slot=2,addr=0.0"),
        *("-device", f"pci-testdev,bus=rp,membar={bar_gib}G"),
        *("-global", f"q35-pcihost.pci-hole64-size={need_of([Bars((bar_gib * GIB,))]).size_gib}G"),
        *("-qmp", f"unix:{scratch}/qmp,server=on,wait=off"),
    ]
    if firmware == "efi":
        shutil.copy(VARIABLES, scratch / "variables")
        found += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={CODE}"]
        found += ["-drive", f"if=pflash,format=raw,unit=1,file={scratch}/variables"]
    if told_mib is not None:
        found += ["-fw_cfg", f"name=opt/ovmf/X-PciMmio64Mb,string={told_mib}"]
    return found


def placed(scratch: Path, **changes: Any) -> tuple[int, int] | None:
    """Bus and address of the BAR once firmware has laid it out; None if it never did."""
    process = subprocess.Popen(arguments(scratch, **changes), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        deadline_s = time.monotonic() + PLACED_WITHIN_S
        while time.monotonic() < deadline_s and process.poll() is None:
            for bus, region in regions(scratch / "qmp"):
                if region["size"] >= GIB and 0 < region["address"] < 2**WIDTH_BITS:
                    return bus, region["address"]
            if process.poll() is None:
                process_waits(process)
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        return None
    finally:
        process.kill()
        process.communicate(timeout=10)


def process_waits(process: subprocess.Popen[str]) -> None:
    """A second, or until it ends."""
    try:
        process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return


def regions(monitor: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Memory regions of everything behind a bridge, with its bus, as QEMU sees them at this moment."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(10)
        try:
            channel.connect(str(monitor))
        except OSError:
            return
        talk = channel.makefile("rw")
        talk.readline()
        answers = []
        for command in ("qmp_capabilities", "query-pci"):
            talk.write(json.dumps({"execute": command}) + "\n")
            talk.flush()
            answers.append(json.loads(talk.readline()))
    for root in answers[1]["return"]:
        for device in root["devices"]:
            for behind in device.get("pci_bridge", {}).get("devices", ()):
                yield from ((behind["bus"], region) for region in behind["regions"])


def test_ovmf_places_a_bar_in_the_window_that_it_is_told(scratch: Path) -> None:
    if not CODE.is_file():
        pytest.skip("no UEFI firmware here (package ovmf)")
    need = need_of([Bars((128 * GIB,))])
    assert need.size_bytes > firmware_default_bytes(WIDTH_BITS)
    found = placed(scratch, bar_gib=128, firmware="efi", told_mib=told_window_bytes(need) // 2**20)
    assert found is not None
    bus, address = found
    assert bus == 65, "the first port of the expander with bus 64"
    assert address + 128 * GIB <= 2**WIDTH_BITS


def test_seabios_places_it_without_being_told(scratch: Path) -> None:
    found = placed(scratch, bar_gib=128, firmware="bios", told_mib=None)
    assert found is not None
    bus, address = found
    assert bus == 65
    assert address + 128 * GIB <= 2**WIDTH_BITS
