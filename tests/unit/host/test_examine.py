"""The program that looks at a host reads files: a tree stands in for them."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.model.examination import Holder, HostExamination
from templates.host import examine as program
from templates.host import host_program
from templates.host.examine import main
from tests.unit.host.fake_host import AUDIO, GPU, ROOT_PORT, FakeHost, config_space, gpu_host

LIBVIRTD_LIMITS = "Limit                     Soft Limit           Hard Limit           Units     \n"


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return gpu_host(tmp_path)


def look(host: FakeHost, *addresses: str) -> HostExamination:
    found = main({"addresses": addresses or [GPU], "limit_s": 20.0, "root": str(host)})
    return HostExamination.model_validate(json.loads(json.dumps({"source": "local", **found})))


def at(host: FakeHost, address: str = GPU):
    found = look(host).function(address)
    assert found is not None
    return found


def test_a_gpu_with_everything(host: FakeHost) -> None:
    gpu = at(host)
    assert (gpu.vendor, gpu.device, gpu.subsystem_vendor, gpu.subsystem_device) == ("10de", "2330", "10de", "1626")
    assert (gpu.revision, gpu.pci_class, gpu.driver, gpu.driver_override) == ("a1", "030200", "nvidia", "")
    assert (gpu.iommu_group, gpu.group_members, gpu.numa_node, gpu.parent) == (20, (GPU, AUDIO), 1, ROOT_PORT)
    assert (gpu.config_alive, gpu.is_bridge, gpu.power_state, gpu.d3cold_allowed) == (True, False, "D0", True)
    assert (gpu.reset_methods, gpu.virtual_functions, gpu.boot_vga) == (("flr", "bus"), 0, False)
    assert (gpu.link_width, gpu.link_width_max, gpu.link_speed_gts, gpu.link_speed_max_gts) == (8, 16, 2.5, 32.0)
    assert gpu.aer is not None
    assert (gpu.aer.fatal, gpu.aer.nonfatal, gpu.aer.correctable) == (1, 2, 3)
    assert gpu.serial == "48-b0-2d-00-01-02-03-04"
    assert gpu.holders == ()


def test_memory_bars_without_ports_and_rom(host: FakeHost) -> None:
    bars = [(bar.index, bar.start, bar.size_bytes, bar.is_64_bit, bar.is_prefetchable) for bar in at(host).bars]
    assert bars == [
        (0, 0xC0000000, 2**24, False, False),
        (1, 0x40000000000, 2**37, True, True),
        (3, 0x42000000000, 2**25, True, True),
    ]


def test_the_whole_group_comes_and_what_is_not_there_does_not(host: FakeHost) -> None:
    assert [function.address for function in look(host, AUDIO, "0000:99:00.0").functions] == [GPU, AUDIO]


def test_a_bridge_is_known_by_its_header(host: FakeHost) -> None:
    port = look(host, ROOT_PORT).functions[0]
    assert (port.is_bridge, port.parent, port.driver) == (True, "", "pcieport")
    switch = "0000:c1:00.0"
    host.pci(switch, ids="10de:22a3", pci_class="068000")
    assert look(host, switch).functions[0].is_bridge is False


def test_a_device_that_fell_off_the_bus(host: FakeHost) -> None:
    host.device(GPU, "config", b"\xff" * 4096)
    host.device(GPU, "current_link_width", "255\n")
    gpu = at(host)
    assert (gpu.config_alive, gpu.serial, gpu.is_bridge, gpu.link_width) == (False, "", False, None)


def test_a_device_without_a_serial_and_with_a_short_config_space(host: FakeHost) -> None:
    assert at(host, AUDIO).serial == ""
    host.device(GPU, "config", config_space(ids="10de:2330", size=64))
    assert (at(host).serial, at(host).config_alive) == ("", True)


def test_extended_capabilities_that_go_in_circles_end(host: FakeHost) -> None:
    space = bytearray(config_space(ids="10de:2330"))
    space[0x100:0x104] = (0x0001 | 1 << 16 | 0x100 << 20).to_bytes(4, "little")
    host.device(GPU, "config", bytes(space))
    assert at(host).serial == ""


class TestResetMethods:
    def test_a_function_that_shares_its_bus_is_reset_with_it_if_all_of_it_is_one_group(self, host: FakeHost) -> None:
        assert at(host, AUDIO).reset_methods == ("bus",)

    def test_not_if_somebody_elses_device_is_on_that_bus(self, host: FakeHost) -> None:
        host.pci("0000:41:01.0", ids="15b3:1021", pci_class="020000", below=ROOT_PORT, group=21)
        assert at(host, AUDIO).reset_methods == ()

    def test_not_if_it_was_forbidden(self, host: FakeHost) -> None:
        host.device(GPU, "reset_method", "\n")
        assert at(host).reset_methods == ()

    def test_a_kernel_that_does_not_name_its_methods(self, host: FakeHost) -> None:
        (host.root / f"sys/bus/pci/devices/{GPU}/reset_method").unlink()
        assert at(host).reset_methods == ("reset",)


class TestHolders:
    def test_by_the_minor_of_nvidias_driver(self, host: FakeHost) -> None:
        host.process(900, "nvidia-persiste", "/dev/nvidiactl", "/dev/nvidia3")
        host.process(901, "python3", "/dev/nvidia1", "/dev/nvidiactl")
        assert at(host).holders == (Holder(pid=900, command="nvidia-persiste", path="/dev/nvidia3"),)

    def test_by_the_group_and_by_the_device_of_vfio(self, host: FakeHost) -> None:
        for address in (GPU, AUDIO):
            host.bind(address, "vfio-pci")
        host.device(GPU, "vfio-dev/vfio0/dev", "511:0\n")
        host.process(77, "dpdk", "/dev/vfio/vfio", "/dev/vfio/devices/vfio0")
        assert [holder.path for holder in at(host).holders] == ["/dev/vfio/devices/vfio0"]
        host.process(78, "qemu-system-x86", "/dev/vfio/20", cmdline="/usr/bin/qemu -name guest=tenant-1,debug-threads=on -m 4")
        assert at(host, AUDIO).holders == (Holder(pid=78, command="qemu-system-x86, domain tenant-1", path="/dev/vfio/20"),)

    def test_by_its_display_and_sound_nodes(self, host: FakeHost) -> None:
        host.device(GPU, "drm/card1/dev", "226:1\n")
        host.device(GPU, "drm/renderD129/dev", "226:129\n")
        host.device(AUDIO, "sound/card2/controlC2/dev", "116:2\n")
        host.process(10, "Xorg", "/dev/dri/card1", "/dev/dri/card0")
        host.process(11, "pipewire", "/dev/snd/controlC2")
        host.process(12, "ollama", "/dev/dri/renderD129")
        assert [holder.command for holder in at(host).holders] == ["Xorg", "ollama"]
        assert [holder.command for holder in at(host, AUDIO).holders] == ["pipewire"]

    def test_a_device_over_which_a_helper_hangs_is_not_asked_again(self, host: FakeHost) -> None:
        host.process(66, f"hk-{GPU}", state="D")
        gpu = at(host)
        assert (gpu.config_alive, gpu.serial, gpu.driver) == (None, "", "nvidia")
        assert gpu.holders == (Holder(pid=66, command=f"hk-{GPU}", path=f"/sys/bus/pci/devices/{GPU}"),)
        assert at(host, AUDIO).config_alive is True


class TestHost:
    def test_an_empty_host(self, tmp_path: Path) -> None:
        found = look(FakeHost(tmp_path))
        assert found == HostExamination(source="local", has_kvm_node=False, has_vfio_module=True)

    def test_identity_of_the_boot(self, host: FakeHost) -> None:
        host.write("proc/sys/kernel/random/boot_id", "c85981f3-097e-4e25-b13d-694d660b59ed\n")
        host.write("proc/sys/kernel/osrelease", "6.12.43\n")
        host.write("proc/cmdline", "ro intel_iommu=on pcie_acs_override=downstream\n")
        found = look(host)
        assert (found.boot_id, found.kernel_release) == ("c85981f3-097e-4e25-b13d-694d660b59ed", "6.12.43")
        assert "pcie_acs_override" in found.kernel_command_line

    def test_the_narrowest_iommu_counts(self, host: FakeHost) -> None:
        host.write("sys/class/iommu/dmar0/intel-iommu/cap", "d2008c40660462\n")
        host.write("sys/class/iommu/dmar1/intel-iommu/cap", "8d2078c106f0466\n")
        found = look(host)
        assert (found.iommu_units, found.iommu_address_width_bits) == (("dmar0", "dmar1"), 39)

    def test_interrupts_that_are_remapped(self, host: FakeHost) -> None:
        host.write("proc/interrupts", "  24:  0  IR-PCI-MSI-0000:40:01.0  0-edge  PCIe PME\n")
        assert look(host).interrupt_remapping is False  # without an IOMMU nothing is
        host.write("sys/class/iommu/dmar0/intel-iommu/cap", "d2008c40660462\n")
        assert look(host).interrupt_remapping is True
        host.write("proc/interrupts", "  24:  0  PCI-MSI  0-edge  PCIe PME\n")
        assert look(host).interrupt_remapping is False

    def test_unsafe_interrupts(self, host: FakeHost) -> None:
        host.write("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n")
        assert look(host).unsafe_interrupts_allowed

    def test_memory_and_address_width(self, host: FakeHost) -> None:
        host.write("proc/meminfo", "MemTotal: 4194304 kB\nMemAvailable:  2097152 kB\n")
        host.write("proc/cpuinfo", "processor\t: 0\naddress sizes\t: 46 bits physical, 48 bits virtual\n")
        assert (look(host).memory_available_mib, look(host).cpu_address_width_bits) == (2048, 46)

    @pytest.mark.parametrize(
        ("capabilities", "limit", "expected"),
        [
            ("000001ffffffffff", "8388608              8388608", None),
            ("00000000a80425fb", "8388608              67108864", 64),
            ("00000000a80425fb", "unlimited            unlimited", None),
        ],
    )
    def test_what_libvirtds_children_may_lock(
        self, host: FakeHost, capabilities: str, limit: str, expected: int | None
    ) -> None:
        host.process(500, "libvirtd")
        host.write("proc/500/status", f"Name:\tlibvirtd\nCapEff:\t{capabilities}\n")
        host.write("proc/500/limits", f"{LIBVIRTD_LIMITS}Max locked memory         {limit}              bytes     \n")
        assert look(host).memlock_limit_mib == expected

    def test_hugepages_by_node(self, host: FakeHost) -> None:
        for node, total, free in ((0, "0", "0"), (1, "64", "60")):
            folder = f"sys/devices/system/node/node{node}/hugepages/hugepages-1048576kB"
            host.write(f"{folder}/nr_hugepages", total + "\n")
            host.write(f"{folder}/free_hugepages", free + "\n")
        (pool,) = look(host).hugepages
        assert (pool.size_kib, pool.node, pool.total, pool.free) == (1048576, 1, 64, 60)

    def test_the_firmwares_console(self, host: FakeHost) -> None:
        host.write(
            "proc/iomem", "c0000000-cfffffff : PCI Bus 0000:41\n  c0000000-c07fffff : efifb\n00000000-00000000 : BOOTFB\n"
        )
        (region,) = look(host).framebuffers
        assert (region.name, region.start, region.end) == ("efifb", 0xC0000000, 0xC07FFFFF)

    def test_vfio_that_could_be_loaded(self, host: FakeHost) -> None:
        (host.root / "sys/bus/pci/drivers/vfio-pci").rename(host.root / "gone")
        assert look(host).has_vfio_module is False
        host.write("proc/sys/kernel/osrelease", "6.1.0\n")
        host.write("lib/modules/6.1.0/kernel/drivers/vfio/pci/vfio-pci.ko.xz", "")
        assert look(host).has_vfio_module is True


def test_it_is_sent_as_one_text_and_runs_by_itself(host: FakeHost) -> None:
    arguments = {"addresses": [GPU], "limit_s": 5, "root": str(host)}
    sent = f"ARGUMENTS = {arguments!r}\n" + host_program("examine")
    argv = [sys.executable, "-I", "-S", "-"]
    ended = subprocess.run(argv, input=sent, capture_output=True, text=True, timeout=30, check=True)
    assert HostExamination.model_validate(json.loads(ended.stdout)).functions == look(host).functions


def test_the_program_that_acts_is_sent_in_the_same_way(host: FakeHost) -> None:
    host.bind(GPU, "vfio-pci")
    command = {"operation": "scrub", "address": GPU, "limit_s": 5, "root": str(host), "command": "echo {address}"}
    sent = f"ARGUMENTS = {command!r}\n" + host_program("device")
    argv = [sys.executable, "-I", "-S", "-"]
    ended = subprocess.run(argv, input=sent, capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(ended.stdout)["output_tail"] == f"{GPU}\n"


MODULES = sorted(each.stem for each in Path(program.__file__).parent.glob("*.py") if each.stem != "__init__")


@pytest.mark.parametrize("name", MODULES)
def test_it_is_written_for_an_old_python_and_for_any_terminal(name: str) -> None:
    text = Path(program.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    assert text.isascii()
    ast.parse(text, feature_version=(3, 9))
