"""What may befall the devices of a simulated host, and what a look from inside shows of it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.drivers.simulated.presets import EIGHT_H100, TWO_NODES
from provisioner.model.errors import DeviceBusy, HostTimeout, HypervisorError, NotFound, Unsupported
from provisioner.model.examination import Holder, HostExamination
from provisioner.model.gpu_host import DEFAULT_GPU_RULE
from tests.contract.hypervisors import DomainText

GPU, AUDIO = "0000:41:00.0", "0000:41:00.1"
GIB = 2**30


def examined(lab) -> HostExamination:
    return lab.hypervisor.inventory.examine([GPU], timeout_s=30)


def bound(lab) -> None:
    for address in (GPU, AUDIO):
        lab.hypervisor.devices.bind_vfio(address, timeout_s=10)


def test_a_healthy_host_from_inside(lab):
    found = examined(lab)
    assert (found.source, found.interrupt_remapping, found.iommu_units) == ("simulated", True, ("dmar0",))
    assert [function.address for function in found.functions] == [GPU, AUDIO]
    gpu = found.function(GPU)
    assert gpu.group_members == (GPU, AUDIO)
    assert (gpu.reset_methods, gpu.config_alive, gpu.holders) == (("flr", "bus"), True, ())
    assert [bar.size_bytes for bar in gpu.bars] == [16 * 2**20, 64 * GIB, 32 * 2**20]
    assert all(bar.start % bar.size_bytes == 0 for bar in gpu.bars)


def test_no_two_cards_of_a_fleet_have_one_serial(lab):
    hosts = [lab.fleet.add_host(name, EIGHT_H100) for name in ("b", "c")]
    addresses = [f"0000:{0x41 + n:02x}:00.0" for n in range(8)]
    looks = [SimulatedConnector(lab.fleet).connect(host.uri).inventory.examine(addresses, timeout_s=9) for host in hosts]
    assert len({function.serial for look in looks for function in look.functions}) == 16
    bars = sorted((bar.start, bar.size_bytes) for function in looks[0].functions for bar in function.bars)
    assert all(start + size <= other for (start, size), (other, _) in pairwise(bars))


def test_a_host_with_two_nodes_has_gpus_on_both(lab):
    host = lab.fleet.add_host("two", TWO_NODES)
    status = SimulatedConnector(lab.fleet).connect(host.uri).inventory.survey((DEFAULT_GPU_RULE,))
    assert [gpu.numa_node for gpu in status.gpus] == [0, 0, 1, 1]
    assert len(status.numa_nodes) == 2


def test_a_running_domain_is_seen_to_hold_its_group(lab):
    bound(lab)
    lab.hypervisor.domains.define(DomainText("g", "kvm", functions=(GPU, AUDIO)).text())
    lab.hypervisor.domains.start("g", timeout_s=10)
    assert examined(lab).function(AUDIO).holders == (
        Holder(pid=5000, command="qemu-system-x86, domain g", path="/dev/vfio/20"),
    )


def test_who_has_the_device_open_is_named_before_anything_is_touched(lab):
    lab.host.hold(GPU, by="python3 (pid 4711)")
    with pytest.raises(DeviceBusy, match=r"python3 \(pid 4711\) has /dev/nvidia0 open") as caught:
        lab.hypervisor.devices.bind_vfio(GPU, timeout_s=60)
    assert caught.value.context["holders"] == [{"pid": 4711, "command": "python3", "path": "/dev/nvidia0"}]
    assert lab.hypervisor.devices.functions([GPU])[0].driver == "nvidia"


def test_a_reset_is_remembered_with_its_method_and_time(lab):
    bound(lab)
    assert lab.hypervisor.devices.reset(GPU, timeout_s=10) == "flr"
    with lab.host.peek() as state:
        assert [(run.method, run.at_s) for run in state.functions[GPU].resets] == [("flr", lab.clock.now_s())]


def test_a_device_without_a_reset_method_says_so(lab):
    bound(lab)
    lab.host.set_reset_methods(GPU)
    with pytest.raises(Unsupported, match="no method"):
        lab.hypervisor.devices.reset(GPU, timeout_s=10)
    assert examined(lab).function(GPU).reset_methods == ()


def test_a_reset_that_fails_has_the_kernels_words(lab):
    bound(lab)
    lab.host.fail_resets(GPU)
    with pytest.raises(HypervisorError, match="not ready"):
        lab.hypervisor.devices.reset(GPU, timeout_s=10)
    lab.host.fail_resets(GPU, why="")
    assert lab.hypervisor.devices.reset(GPU, timeout_s=10) == "flr"


def test_only_what_no_driver_of_the_hosts_has_is_reset(lab):
    with pytest.raises(DeviceBusy, match="nvidia"):
        lab.hypervisor.devices.reset(GPU, timeout_s=10)


def test_a_driver_that_does_not_let_go_costs_the_whole_limit(lab):
    lab.host.block_unbind(GPU)
    begun_s = lab.clock.monotonic_s()
    with pytest.raises(HostTimeout):
        lab.hypervisor.devices.bind_vfio(GPU, timeout_s=60)
    assert lab.clock.monotonic_s() - begun_s == 60
    with pytest.raises(DeviceBusy, match="stuck in the kernel"):
        lab.hypervisor.devices.restore(GPU, driver="nvidia", timeout_s=60)
    assert lab.clock.monotonic_s() - begun_s == 60
    stuck = examined(lab).function(GPU)
    assert (stuck.driver, stuck.config_alive, [each.command for each in stuck.holders]) == ("", None, [f"hk-{GPU}"])
    assert examined(lab).function(AUDIO).config_alive
    lab.host.reboot()
    lab.hypervisor.devices.bind_vfio(GPU, timeout_s=60)


def test_a_swapped_card_has_another_identity(lab):
    before = examined(lab).function(GPU)
    lab.host.swap(GPU, subsystem_device="1999")
    after = examined(lab).function(GPU)
    assert (after.vendor, after.device) == (before.vendor, before.device)
    assert after.serial != before.serial
    assert after.subsystem_device == "1999"


def test_a_dead_device_is_seen_and_neither_bound_nor_reset_nor_started(lab):
    bound(lab)
    lab.host.die(GPU)
    assert examined(lab).function(GPU).config_alive is False
    with pytest.raises(HypervisorError, match="all ones"):
        lab.hypervisor.devices.reset(GPU, timeout_s=10)
    lab.hypervisor.domains.define(DomainText("g", "kvm", functions=(GPU,)).text())
    with pytest.raises(HypervisorError, match="header type '127'"):
        lab.hypervisor.domains.start("g", timeout_s=10)
    lab.host.bring_back(GPU)
    lab.hypervisor.devices.bind_vfio(GPU, timeout_s=10)


def test_a_lost_device_is_left_out(lab):
    lab.host.lose(GPU)
    assert examined(lab).functions == ()
    with pytest.raises(NotFound):
        lab.hypervisor.devices.reset(GPU, timeout_s=10)


def test_a_scrub_runs_with_the_address_and_ends_as_it_was_told(lab):
    bound(lab)
    lab.host.end_scrubs(status=3, output="ECC error", takes_s=40)
    result = lab.hypervisor.devices.scrub(GPU, command="wipe --gpu-bdf={address}", timeout_s=60)
    assert (result.exit_status, result.output_tail, result.duration_s) == (3, "ECC error", 40)
    with lab.host.peek() as state:
        assert [run.command for run in state.inside.scrubs] == [f"wipe --gpu-bdf={GPU}"]
    with pytest.raises(HostTimeout):
        lab.hypervisor.devices.scrub(GPU, command="wipe {address}", timeout_s=10)


def test_a_host_behind_libvirt_alone_tells_nothing_and_does_what_it_can(lab):
    lab.host.forbid_examination("it is reached by TLS")
    assert examined(lab) == HostExamination(why_not="it is reached by TLS")
    bound(lab)
    assert lab.hypervisor.devices.reset(GPU, timeout_s=10) == ""
    with pytest.raises(Unsupported):
        lab.hypervisor.devices.scrub(GPU, command="wipe", timeout_s=10)


def test_an_override_is_set_and_given_back(lab):
    bound(lab)
    assert examined(lab).function(GPU).driver_override == "vfio-pci"
    lab.hypervisor.devices.restore(GPU, driver="nvidia", timeout_s=10)
    assert examined(lab).function(GPU).driver_override == ""
    lab.hypervisor.devices.restore(GPU, driver="vfio-pci", override="vfio-pci", timeout_s=10)
    lab.host.reboot()
    assert (examined(lab).function(GPU).driver, examined(lab).function(GPU).driver_override) == ("nvidia", "")


def test_another_boot_has_another_id(lab):
    before = examined(lab).boot_id
    assert examined(lab).boot_id == before
    lab.host.reboot()
    assert examined(lab).boot_id != before
