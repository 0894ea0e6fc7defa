"""`hikube host doctor` on a host in order and on hosts that are sick in different ways: text and JSON, as snapshots."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from syrupy.assertion import SnapshotAssertion

from provisioner.clocks import SystemClock
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.model.examination import AerCounts, HugepagePool, Region
from tests.cli.conftest import Hikube

FIRST, AUDIO, SECOND = "0000:41:00.0", "0000:41:00.1", "0000:42:00.0"


def without_iommu(host: SimulatedHost) -> None:
    with host.peek() as state:
        for function in state.functions.values():
            function.iommu_group = None


def with_a_merged_group(host: SimulatedHost) -> None:
    with host.peek() as state:
        state.inside.kernel_command_line += " pci=disable_acs_redir=0000:40:01.0"
        for function in state.functions.values():
            function.iommu_group = 20


def with_devices_that_are_held(host: SimulatedHost) -> None:
    host.hold(FIRST, by="nvidia-persistenced (pid 812)")
    host.hold(AUDIO, by="pipewire (pid 1440)")


def with_a_dead_and_a_worn_gpu(host: SimulatedHost) -> None:
    host.die(FIRST)
    with host.peek() as state:
        worn = state.functions[SECOND]
        worn.link_width, worn.aer, worn.power_state = 4, AerCounts(fatal=1, nonfatal=7), "D3cold"


def with_gpus_that_belong_to_the_host(host: SimulatedHost) -> None:
    host.set_reset_methods(FIRST)
    with host.peek() as state:
        console, busy = state.functions[FIRST], state.functions[SECOND]
        console.boot_vga, busy.virtual_functions, busy.driver_override = True, 4, "none"
        bar = console.bars[0]
        state.inside.framebuffers = (Region(name="efifb", start=bar.start, end=bar.start + 0x7F_FFFF),)


def short_of_memory_and_isolation(host: SimulatedHost) -> None:
    with host.peek() as state:
        inside = state.inside
        inside.kernel_command_line = "ro quiet intel_iommu=on pcie_acs_override=downstream,multifunction"
        inside.interrupt_remapping, inside.unsafe_interrupts_allowed = False, True
        inside.memlock_limit_mib, inside.memory_taken_mib = 0, 3072
        inside.hugepages = (HugepagePool(size_kib=2048, node=1, total=4, free=4),)
        inside.iommu_address_width_bits = 39


def with_a_swapped_card(host: SimulatedHost) -> None:
    host.swap(FIRST, subsystem_device="1999")


def without_a_shell(host: SimulatedHost) -> None:
    host.forbid_examination()


def out_of_reach(host: SimulatedHost) -> None:
    host.set_link("down")


SICK = [
    without_iommu,
    with_a_merged_group,
    with_devices_that_are_held,
    with_a_dead_and_a_worn_gpu,
    with_gpus_that_belong_to_the_host,
    short_of_memory_and_isolation,
    with_a_swapped_card,
    without_a_shell,
    out_of_reach,
]


@pytest.fixture
def host(hikube: Hikube) -> SimulatedHost:
    """The simulated host of two GPUs that was added as `sim`, for a test to make it sick."""
    uri = f"simulated://lab?state={hikube.home}/sim.json"
    assert hikube("host", "add", "sim", uri, "--gpu-rule", "vendor=1234,class=03").code == 0
    return SimulatedFleet(SystemClock()).at(uri)


def test_a_host_in_order(hikube: Hikube, host: SimulatedHost, snapshot: SnapshotAssertion) -> None:
    assert host.name == "lab"
    result = hikube("host", "doctor", "sim")
    assert result.code == 0
    assert result.shown() == snapshot
    assert hikube("host", "doctor", "sim", "-o", "json").shown() == snapshot


@pytest.mark.parametrize("illness", SICK, ids=lambda illness: illness.__name__)
def test_a_sick_host(
    hikube: Hikube, host: SimulatedHost, snapshot: SnapshotAssertion, illness: Callable[[SimulatedHost], None]
) -> None:
    illness(host)
    result = hikube("host", "doctor", "sim")
    assert result.code == 9
    assert result.shown() == snapshot
    data = hikube("host", "doctor", "sim", "-o", "json")
    assert data.code == 9
    assert data.out == snapshot


def test_warnings_are_no_failure(hikube: Hikube, host: SimulatedHost) -> None:
    with host.peek() as state:
        state.functions[FIRST].link_width = 8
    result = hikube("host", "doctor")
    assert (result.code, result.err) == (0, "")
    assert "sim: 1 warning" in result.out


def test_one_gpu_of_several(hikube: Hikube, host: SimulatedHost) -> None:
    host.die(FIRST)
    well = hikube("host", "doctor", "sim", "--gpu", SECOND)
    assert (well.code, FIRST in well.out) == (0, False)
    assert hikube("host", "doctor", "sim", "--gpu", FIRST).code == 9
    assert hikube("host", "doctor", "sim", "--gpu", SECOND.removeprefix("0000:")).out == well.out
    assert hikube("host", "doctor", "sim", "--gpu", "banana").code == 2
    unknown = hikube("host", "doctor", "sim", "--gpu", "0000:19:00.0")
    assert (unknown.code, unknown.out) == (11, "")
    assert f"known: {FIRST}, {SECOND}" in unknown.err


def test_a_host_that_was_not_added_is_looked_at_and_not_stored(hikube: Hikube) -> None:
    uri = f"simulated://l40s?state={hikube.home}/new.json"
    result = hikube("host", "doctor", "--uri", uri)
    assert result.code == 0
    assert "KVM" in result.out.partition("could not be checked")[2]
    assert hikube("get", "hosts", "-o", "name").out == ""
    data = json.loads(hikube("host", "doctor", "--uri", uri, "-o", "json").out)
    assert (data["uri"], data["healthy"], data["source"]) == (uri.replace(str(hikube.home), "HOME"), True, "simulated")
    nothing = hikube("host", "doctor", "--uri", uri, "--gpu-rule", "vendor=8086")
    assert "HK-DOC-114" in nothing.out


def test_all_hosts_are_a_list_and_one_is_an_object(hikube: Hikube, host: SimulatedHost) -> None:
    assert host.name == "lab"
    assert [each["host"] for each in json.loads(hikube("host", "doctor", "-o", "json").out)["items"]] == ["sim"]
    assert json.loads(hikube("host", "doctor", "sim", "-o", "json").out)["host"] == "sim"
    assert hikube("host", "doctor", "sim", "-o", "yaml").out.startswith("host: sim\n")


def test_a_host_that_takes_its_time_is_named_while_it_does(hikube: Hikube, host: SimulatedHost) -> None:
    with host.peek():  # whoever wants to look has to wait until we have looked
        process = hikube.start("host", "doctor", "sim")
        assert process.stderr is not None
        assert process.stderr.readline() == "looking at sim …\n"
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.startswith("sim: in order")


def test_what_makes_no_sense_is_refused(hikube: Hikube) -> None:
    assert hikube("host", "doctor").err.startswith("no hosts; add one")
    assert json.loads(hikube("host", "doctor", "-o", "json").out)["items"] == []
    assert hikube("host", "doctor", "nobody").code == 11
    assert hikube("host", "doctor", "sim", "--uri", "simulated://l40s").code == 2
    assert hikube("host", "doctor", "--gpu-rule", "vendor=10de").code == 2
    assert hikube("host", "doctor", "-o", "wide").code == 2


def test_a_uri_that_means_nothing_is_a_host_that_does_not_answer(hikube: Hikube) -> None:
    assert hikube("host", "add", "odd", "simulated://nothing-of-that-name", "--no-probe").code == 0
    assert hikube("host", "add", "sim", f"simulated://l40s?state={hikube.home}/sim.json").code == 0
    result = hikube("host", "doctor", "-o", "json")
    assert result.code == 9
    odd, sim = json.loads(result.out)["items"]
    assert ([finding["code"] for finding in odd["findings"]], sim["healthy"]) == (["HK-DOC-303"], True)


def test_the_wishes_that_the_doctor_goes_by_can_be_given_when_a_host_is_added(hikube: Hikube) -> None:
    uri = f"simulated://l40s?state={hikube.home}/sim.json"
    assert hikube("host", "add", "sim", uri, "--reset-policy", "Sometimes").code == 2
    assert hikube("host", "add", "sim", uri, "--reset-policy", "BestEffort", "--keep-on-vfio").code == 0
    spec = json.loads(hikube("host", "show", "sim", "-o", "json").out)["spec"]
    assert (spec["resetPolicy"], spec["keepOnVfio"]) == ("BestEffort", True)


def test_show_has_the_findings_in_short(hikube: Hikube, snapshot: SnapshotAssertion) -> None:
    uri = f"simulated://l40s?state={hikube.home}/held.json"
    SimulatedFleet(SystemClock()).at(uri).hold(FIRST, by="python3 (pid 7)")
    assert hikube("host", "add", "sim", uri).code == 0
    assert hikube("host", "show", "sim").shown() == snapshot
    offers = hikube("gpu", "offers", "--gpu", "l40s", "--explain")
    assert "1 unhealthy: HK-DOC-207" in offers.out
