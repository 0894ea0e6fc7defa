"""The probe's verdict, and that the program it carries is the one whose source lies beside it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from provisioner.drivers.libvirt import kvm_probe, kvm_probe_image

SOURCE = Path(kvm_probe_image.__file__).with_name("kvm_probe.s")
STARTED = "SeaBIOS (version 1)\r\nhikube-probe: started\r\nhikube-probe: long mode\r\n"


def test_a_program_that_came_to_its_end_proves_kvm():
    verdict = kvm_probe.judge(STARTED + "hikube-probe: proven\r\n", end="", duration_s=1.23)
    assert (verdict.works, verdict.message) == (True, "a test program ran to its end in 1.2 s")


def test_a_program_that_stopped_says_after_what():
    verdict = kvm_probe.judge(STARTED, end="the guest was reset, or QEMU died", duration_s=9)
    assert verdict.works is False
    assert "stopped after 'long mode' (the guest was reset, or QEMU died)" in verdict.message


def test_a_bios_alone_proves_nothing():
    verdict = kvm_probe.judge("SeaBIOS (version 1)\r\nBooting from Hard Disk...", end="it did not end within 9 s", duration_s=9)
    assert verdict.works is False
    assert "never began" in verdict.message


def test_a_line_that_is_cut_off_proves_nothing():
    assert kvm_probe.judge(STARTED + "hikube-probe: prov", end="x", duration_s=9).works is False


def test_the_image_is_its_source_assembled(tmp_path):
    if shutil.which("as") is None or shutil.which("ld") is None:
        pytest.skip("no assembler: binutils is not installed")
    linked, built = tmp_path / "p.o", tmp_path / "p.img"
    subprocess.run(["as", "--64", "-o", linked, SOURCE], check=True)
    linking = ["ld", "-m", "elf_x86_64", "-Ttext=0x7c00", "--oformat=binary", "-e", "_start", "-o", built, linked]
    subprocess.run(linking, check=True)
    assert kvm_probe_image.disk_image().rstrip(b"\0") == built.read_bytes().rstrip(b"\0")
