"""QEMU's command line for a host in a box."""

from itertools import pairwise
from pathlib import Path

import pytest

from provisioner.lab.machine import MachineFiles, machine_arguments
from provisioner.lab.topology import LabHost, StandIn, StandInModel

FILES = MachineFiles(
    kernel=Path("/images/vmlinuz"),
    initramfs=Path("/images/initramfs"),
    disk=Path("/labs/a,b/disk.qcow2"),
    host_key=Path("/labs/host_key"),
    authorized_keys=Path("/labs/user.pub"),
    host_name=Path("/labs/hostname"),
    serial_log=Path("/labs/serial.log"),
    monitor_socket=Path("/run/box.qmp"),
)


def arguments(host: LabHost, *, kvm: bool = False) -> list[str]:
    return machine_arguments(host, FILES, kvm=kvm, ssh_port=2222)


def devices(host: LabHost) -> list[str]:
    words = arguments(host)
    return [value for option, value in pairwise(words) if option == "-device"]


def test_the_command_line_of_a_small_host(snapshot):
    assert arguments(LabHost("box")) == snapshot


def test_the_command_line_of_a_host_with_two_numa_nodes(snapshot):
    gpus = (StandIn(StandInModel.BOCHS, 0), StandIn(StandInModel.NVME, 1), StandIn(StandInModel.BOCHS))
    assert arguments(LabHost("box", memory_mib=8193, vcpus=3, numa_nodes=2, gpus=gpus)) == snapshot


def test_the_iommu_comes_before_every_other_device():
    assert devices(LabHost("box"))[0].startswith("intel-iommu,intremap=on,caching-mode=on")


def test_each_stand_in_has_a_port_of_its_own_and_an_audio_companion():
    found = devices(LabHost("box", gpus=(StandIn(), StandIn(StandInModel.NVME))))
    for port, function_0 in (("port0", "bochs-display"), ("port1", "nvme")):
        behind = [device for device in found if f"bus={port}," in device]
        assert [device.split(",")[0] for device in behind] == [function_0, "ich9-intel-hda"]
        assert "multifunction=on" in behind[0]
        assert sum(f"id={port}," in device for device in found) == 1


def test_kvm_is_used_with_the_processor_of_this_machine():
    words = arguments(LabHost("box"), kvm=True)
    assert words[words.index("-accel") + 1] == "kvm"
    assert words[words.index("-cpu") + 1] == "host"


def test_emulation_offers_nested_virtualisation():
    words = arguments(LabHost("box"))
    assert words[words.index("-accel") + 1] == "tcg,thread=multi"
    assert "+svm" in words[words.index("-cpu") + 1]


def test_ssh_is_reachable_from_this_machine_only():
    assert "user,id=net,hostfwd=tcp:127.0.0.1:2222-:22" in arguments(LabHost("box"))


def test_a_comma_in_a_path_does_not_end_an_option():
    assert any(word.startswith("file=/labs/a,,b/disk.qcow2,if=none") for word in arguments(LabHost("box")))


@pytest.mark.parametrize("count", [0, 16])
def test_slots_of_root_ports_are_different(count):
    ports = [device for device in devices(LabHost("box", gpus=(StandIn(),) * count)) if "pcie-root-port" in device]
    slots = [part for device in ports for part in device.split(",") if part.startswith("addr=")]
    assert len(set(slots)) == count


def test_an_emulated_host_keeps_a_periodic_tick():
    for kvm, expected in ((False, True), (True, False)):
        words = arguments(LabHost("box"), kvm=kvm)
        assert ("nohz=off highres=off" in words[words.index("-append") + 1]) is expected


def test_without_acs_all_stand_ins_share_a_conventional_bus():
    found = devices(LabHost("box", gpus=(StandIn(), StandIn()), acs=False))
    assert "pcie-pci-bridge,id=bridge,bus=trunk" in found
    assert [device.split(",")[0] for device in found if "bus=bridge," in device] == ["bochs-display", "ich9-intel-hda"] * 2
    assert not any("id=port" in device for device in found)
