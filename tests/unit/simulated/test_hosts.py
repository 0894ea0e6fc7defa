"""Stories of simulated hosts: what they refuse, and what may befall them."""

from __future__ import annotations

import io

import pytest

from provisioner.drivers.hypervisor import DomainState
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.hardware import SimulatedFunction, SimulatedGpu
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.drivers.simulated.presets import EIGHT_H100, L40S, LAB
from provisioner.drivers.simulated.timing import Timing
from provisioner.model.errors import (
    AlreadyExists,
    Conflict,
    DeviceBusy,
    HostTimeout,
    HostUnreachable,
    HypervisorError,
    InvalidInput,
    NotFound,
    Unsupported,
)
from provisioner.model.gpu_host import DEFAULT_GPU_RULE, GpuHealth, GpuRule
from tests.contract.hypervisors import DomainText

GPU, AUDIO = "0000:41:00.0", "0000:41:00.1"


def define(lab, name="g", **parts):
    lab.hypervisor.domains.define(DomainText(name, "kvm", **parts).text())


def start(lab, name="g", **parts):
    define(lab, name, **parts)
    lab.hypervisor.domains.start(name, timeout_s=10)


def on(lab, name, **hardware):
    host = lab.fleet.add_host(name, **hardware)
    return SimulatedConnector(lab.fleet).connect(host.uri)


def test_eight_h100_on_two_numa_nodes(lab):
    host = lab.fleet.add_host("h100", EIGHT_H100)
    status = SimulatedConnector(lab.fleet).connect(host.uri).inventory.survey((DEFAULT_GPU_RULE,))
    assert [gpu.name for gpu in status.gpus] == ["10de:2330"] * 8
    assert [gpu.numa_node for gpu in status.gpus] == [0] * 4 + [1] * 4
    assert len({gpu.pcie_parent for gpu in status.gpus}) == 4
    assert len({gpu.iommu_group for gpu in status.gpus}) == 8
    assert [len(node.cpus) for node in status.numa_nodes] == [96, 96]


def test_stand_ins_are_found_by_a_rule_of_their_own(lab):
    host = lab.fleet.add_host("lab", LAB)
    inventory = SimulatedConnector(lab.fleet).connect(host.uri).inventory
    assert inventory.survey((DEFAULT_GPU_RULE,)).gpus == ()
    gpus = inventory.survey((GpuRule(ids=("1234:1111",)),)).gpus
    assert [companion.id for companion in gpus[0].companions] == ["8086:293e"]
    assert len(gpus) == 2


def test_two_gpus_in_one_group_are_each_others_companions(lab):
    shared = tuple(SimulatedGpu(address=f"0000:4{n}:00.0", iommu_group=7) for n in (1, 2))
    first, second = on(lab, "shared", gpus=shared).inventory.survey((DEFAULT_GPU_RULE,)).gpus
    assert [companion.address for companion in first.companions] == [second.address]


def test_a_bridge_stays_with_the_host(lab):
    bridge = SimulatedFunction(id="8086:2030", pci_class="060400", driver="pcieport", address="0000:40:00.0", is_bridge=True)
    hypervisor = on(lab, "bridged", gpus=(SimulatedGpu(companions=(bridge,)),))
    assert hypervisor.inventory.survey((DEFAULT_GPU_RULE,)).gpus[0].companions == ()
    with pytest.raises(HypervisorError):
        hypervisor.devices.bind_vfio("0000:40:00.0", timeout_s=10)
    hypervisor.devices.bind_vfio(GPU, timeout_s=10)
    hypervisor.domains.define(DomainText("g", "kvm", functions=(GPU,)).text())
    hypervisor.domains.start("g", timeout_s=10)  # a bridge in the group is no obstacle
    hypervisor.domains.define(DomainText("h", "kvm", functions=("0000:40:00.0",)).text())
    with pytest.raises(Unsupported, match="Non-endpoint"):
        hypervisor.domains.start("h", timeout_s=10)


def test_without_an_iommu_nothing_can_be_passed_and_the_gpus_say_so(lab):
    hypervisor = on(lab, "plain", has_iommu=False)
    status = hypervisor.inventory.survey((DEFAULT_GPU_RULE,))
    assert (status.gpus[0].health, status.capabilities.vfio) == (GpuHealth.UNUSABLE, False)
    hypervisor.devices.bind_vfio(GPU, timeout_s=10)
    hypervisor.domains.define(DomainText("g", "kvm", functions=(GPU,)).text())
    with pytest.raises(Unsupported, match="passthrough"):
        hypervisor.domains.start("g", timeout_s=10)


def test_memory_is_not_given_twice(lab):
    start(lab, "first", memory_mib=200 * 1024)
    define(lab, "second", memory_mib=100 * 1024)
    with pytest.raises(HypervisorError, match="Cannot allocate memory") as caught:
        lab.hypervisor.domains.start("second", timeout_s=10)
    assert caught.value.context["free_mib"] == 56 * 1024
    lab.hypervisor.domains.destroy("first", timeout_s=10)
    lab.hypervisor.domains.start("second", timeout_s=10)


def test_a_network_must_be_there_and_active(lab):
    define(lab, "lost", network="no-such")
    with pytest.raises(NotFound, match="no-such"):
        lab.hypervisor.domains.start("lost", timeout_s=10)
    with lab.host.peek() as state:
        state.networks["default"] = False
    define(lab, "dark", network="default")
    with pytest.raises(Conflict, match="not active"):
        lab.hypervisor.domains.start("dark", timeout_s=10)


def test_without_kvm_no_kvm_domain(lab):
    hypervisor = on(lab, "old", kvm="absent")
    assert "host-passthrough" not in hypervisor.inventory.survey(()).capabilities.cpu_modes
    with pytest.raises(InvalidInput, match="domaintype=kvm"):
        hypervisor.domains.define(DomainText("g", "kvm").text())
    hypervisor.domains.define(DomainText("g", "qemu").text())


def test_the_verdict_on_kvm_takes_its_time_when_it_is_bad(lab):
    assert lab.hypervisor.inventory.prove_kvm(timeout_s=60).works is True
    begun_s = lab.clock.monotonic_s()
    assert on(lab, "broken", kvm="broken").inventory.prove_kvm(timeout_s=60).works is False
    assert lab.clock.monotonic_s() - begun_s >= 60
    assert on(lab, "none", kvm="absent").inventory.prove_kvm(timeout_s=60).works is False


def test_an_emulated_domain_cannot_have_the_hosts_cpu(lab):
    text = DomainText("g", "qemu").text().replace("<devices>", "<cpu mode='host-passthrough'/><devices>")
    lab.hypervisor.domains.define(text)
    with pytest.raises(Unsupported, match="host-passthrough"):
        lab.hypervisor.domains.start("g", timeout_s=10)


def test_a_volume_may_be_deleted_under_a_running_domain_but_not_resized(lab):
    volumes = lab.hypervisor.volumes
    disk = volumes.create("default", "d.qcow2", size_bytes=2**30).path
    start(lab, disk=disk)
    with pytest.raises(HypervisorError, match="write"):
        volumes.resize("default", "d.qcow2", size_bytes=2**31)
    volumes.delete("default", "d.qcow2")
    assert lab.state() is DomainState.RUNNING
    lab.hypervisor.domains.destroy("g", timeout_s=10)
    with pytest.raises(HypervisorError, match="No such file"):
        lab.hypervisor.domains.start("g", timeout_s=10)


def test_an_overlay_without_its_base_does_not_start(lab):
    volumes = lab.hypervisor.volumes
    volumes.upload("default", "base", io.BytesIO(b"x" * 512), size_bytes=512)
    disk = volumes.create("default", "d.qcow2", size_bytes=2**30, base="base").path
    volumes.delete("default", "base")
    define(lab, disk=disk)
    with pytest.raises(HypervisorError, match="base"):
        lab.hypervisor.domains.start("g", timeout_s=10)


def test_a_full_pool_takes_no_upload_and_says_what_is_free(lab):
    lab.host.fill_pool("default", left_bytes=1000)
    with pytest.raises(HypervisorError, match="No space left") as caught:
        lab.hypervisor.volumes.upload("default", "v", io.BytesIO(b"x" * 2000), size_bytes=2000)
    assert caught.value.context == {"needed_bytes": 2000, "available_bytes": 1000}
    assert lab.hypervisor.volumes.find("default", "v") is None
    (pool,) = lab.hypervisor.inventory.survey(()).storage_pools
    assert pool.available_bytes == 1000


def test_a_lost_gpu_is_gone_from_everywhere_until_it_is_back(lab):
    lab.host.lose(GPU)
    assert lab.hypervisor.inventory.survey((DEFAULT_GPU_RULE,)).gpus == ()
    with pytest.raises(NotFound):
        lab.hypervisor.devices.functions([GPU])
    define(lab, functions=(GPU,))
    with pytest.raises(HypervisorError, match="not found"):
        lab.hypervisor.domains.start("g", timeout_s=10)
    lab.host.bring_back(GPU)
    assert lab.hypervisor.devices.functions([GPU])[0].driver == "nvidia"


def test_without_a_shell_an_unbind_blocks_while_a_process_has_the_device_open(lab):
    lab.host.forbid_examination()
    lab.host.hold(GPU, by="python3 (pid 4711)")
    begun_s = lab.clock.monotonic_s()
    with pytest.raises(HostTimeout):
        lab.hypervisor.devices.bind_vfio(GPU, timeout_s=60)
    assert lab.clock.monotonic_s() - begun_s == 60
    assert lab.hypervisor.devices.functions([GPU])[0].driver == "nvidia"
    lab.host.hold(GPU, by="")
    lab.hypervisor.devices.bind_vfio(GPU, timeout_s=60)
    lab.host.hold(GPU, by="qemu-system-x86 (pid 4712)")
    define(lab, functions=(GPU,))
    lab.hypervisor.devices.bind_vfio(AUDIO, timeout_s=60)
    with pytest.raises(DeviceBusy, match="Device or resource busy"):
        lab.hypervisor.domains.start("g", timeout_s=10)
    with pytest.raises(HostTimeout):
        lab.hypervisor.devices.restore(GPU, driver="nvidia", timeout_s=60)


def test_the_kernel_lets_no_driver_into_a_group_that_a_guest_has(lab):
    for address in (GPU, AUDIO):
        lab.hypervisor.devices.bind_vfio(address, timeout_s=10)
    start(lab, functions=(GPU,))
    with pytest.raises(DeviceBusy, match=r"domain g .*/dev/vfio/20"):
        lab.hypervisor.devices.restore(AUDIO, driver="snd_hda_intel", timeout_s=10)


def test_nothing_goes_back_to_a_driver_that_the_kernel_would_not_choose(lab):
    lab.hypervisor.devices.bind_vfio(GPU, timeout_s=10)
    with pytest.raises(HypervisorError, match="nvidia"):
        lab.hypervisor.devices.restore(GPU, driver="nouveau", timeout_s=10)
    lab.hypervisor.devices.restore(GPU, driver="", timeout_s=10)
    assert lab.hypervisor.devices.functions([GPU])[0].driver == "nvidia"


def test_what_was_on_vfio_before_goes_back_there(lab):
    lab.hypervisor.devices.restore(GPU, driver="vfio-pci", timeout_s=10)
    assert lab.hypervisor.devices.functions([GPU])[0].driver == "vfio-pci"


def test_a_function_without_a_driver_must_still_be_put_on_vfio(lab):
    hypervisor = on(lab, "bare", gpus=(SimulatedGpu(driver=""),))
    hypervisor.domains.define(DomainText("g", "kvm", functions=(GPU,)).text())
    with pytest.raises(DeviceBusy, match="must be manually detached"):
        hypervisor.domains.start("g", timeout_s=10)


def test_a_redefinition_waits_for_the_next_start(lab):
    for address in (GPU, AUDIO):
        lab.hypervisor.devices.bind_vfio(address, timeout_s=10)
    start(lab, functions=(GPU, AUDIO))
    define(lab, functions=())
    assert lab.hypervisor.domains.look("g").functions == (GPU, AUDIO)
    lab.hypervisor.domains.destroy("g", timeout_s=10)
    assert lab.hypervisor.domains.look("g").functions == ()


def test_a_host_that_is_down_is_unreachable_and_one_that_hangs_takes_all_the_time(lab):
    hypervisor = lab.hypervisor
    lab.host.set_link("hangs")
    begun_s = lab.clock.monotonic_s()
    with pytest.raises(HostTimeout):
        hypervisor.devices.reset(GPU, timeout_s=7)
    assert lab.clock.monotonic_s() - begun_s == 7
    lab.host.set_link("down")
    with pytest.raises(HostUnreachable):
        hypervisor.domains.owned()
    lab.host.set_link("up")
    with pytest.raises(HostUnreachable, match="lost"):
        hypervisor.domains.owned()
    assert lab.hypervisor.domains.owned() == ()


def test_a_start_that_takes_longer_than_its_limit_still_happens(lab):
    fleet = SimulatedFleet(lab.clock, timing=Timing(calls={"domains.start": 100}))
    connector, uri = SimulatedConnector(fleet), fleet.add_host("slow").uri
    hypervisor = connector.connect(uri)
    hypervisor.domains.define(DomainText("g", "kvm").text())
    begun_s = lab.clock.monotonic_s()
    with pytest.raises(HostTimeout):
        hypervisor.domains.start("g", timeout_s=30)
    assert lab.clock.monotonic_s() - begun_s == 30
    assert connector.connect(uri).domains.owned()[0].state is DomainState.RUNNING


def test_qemu_may_die_later(lab):
    start(lab)
    lab.host.kill_qemu("g", after_s=60)
    lab.clock.advance(59)
    assert lab.state() is DomainState.RUNNING
    lab.clock.advance(1)
    assert lab.state() is DomainState.CRASHED


def test_a_reboot_of_the_host_ends_guests_and_bindings(lab):
    for address in (GPU, AUDIO):
        lab.hypervisor.devices.bind_vfio(address, timeout_s=10)
    start(lab, functions=(GPU, AUDIO))
    lab.host.reboot()
    assert lab.state() is DomainState.OFF
    drivers = [function.driver for function in lab.hypervisor.devices.functions([GPU, AUDIO])]
    assert drivers == ["nvidia", "snd_hda_intel"]


def test_a_closed_connection_says_so(lab):
    hypervisor = lab.hypervisor
    lab.connector.hang_up()
    with pytest.raises(HostUnreachable, match="closed"):
        hypervisor.domains.owned()


def test_a_host_has_one_name(lab):
    with pytest.raises(AlreadyExists):
        lab.fleet.add_host("a", gpus=(L40S,))
    with pytest.raises(NotFound):
        lab.fleet.host("nobody")
    assert lab.fleet.hosts == (lab.host,)
